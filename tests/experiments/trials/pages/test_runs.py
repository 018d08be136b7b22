from __future__ import annotations

import copy
import csv
import io
import json
import re

import pyarrow.parquet
import pytest
from django.http import QueryDict
from django.test import Client

from experiments.models import Experiment, RunsView, Trial
from experiments.models.trial import TrialState
from experiments.models.trial_encoding import decode
from experiments.trials.lifecycle.services import runs, studies, trial_creation
from experiments.trials.panels.run_charts import RunCharts, run_charts
from experiments.trials.table.queries.run_scope import RunFields, RunScope
from tests import cast

pytestmark = pytest.mark.django_db
PAGE = "/projects/digits/runs/"


@pytest.fixture(scope="module")
def made_experiment(module_db: None) -> Experiment:
    cast.project()
    return cast.finished_search(trials_per_arm=6)


@pytest.fixture
def experiment(made_experiment: Experiment) -> Experiment:
    return copy.deepcopy(made_experiment)


def client(who: str = "ben") -> Client:
    found = Client()
    found.force_login(cast.person(who))
    return found


def get(address: str, who: str = "ben") -> str:
    response = client(who).get(address)
    assert response.status_code == 200, response
    return response.content.decode()


def names(html: str) -> list[str]:
    return re.findall(r'<td class="run">.*?>([AB]\d+)<', html)


def post(rest: str, who: str = "cleo", **fields: object) -> str:
    """What the next page says."""
    response = client(who).post(f"{PAGE}{rest}", fields, follow=True)
    assert response.status_code == 200, response
    return " ".join(str(message) for message in response.context["messages"])


def test_the_first_answer_holds_the_table_and_its_charts(experiment: Experiment) -> None:
    html = get(PAGE)
    assert len(names(html)) == 12
    assert 'data-figure="figure-runs-' in html
    assert 'role="separator"' in html
    assert "First 10 runs of the page" in html


def test_an_address_holds_the_whole_state(experiment: Experiment) -> None:
    query = (
        "experiments=label-smoothing&filter=arm = 'B'&sort=-params.dropout&sort=number"
        "&col=params.dropout@140&col=best.train_loss&pin=1&rows=50&facets=1&split=40"
    )
    html = get(f"{PAGE}?{query}")
    assert names(html)
    assert all(name.startswith("B") for name in names(html))
    assert 'data-width="140"' in html
    assert 'data-split="40"' in html
    assert html.count("data-pinned") == 3  # ticks, the run, the first column
    assert '<section aria-label="State">' in html
    assert "Remove arm = &#x27;B&#x27;" in html


def test_what_a_filter_gets_wrong_is_said_beside_it(experiment: Experiment) -> None:
    html = get(f"{PAGE}?filter=params.dropout <")
    assert "Invalid filter at its end" in html
    assert 'value="params.dropout &lt;"' in html
    assert names(html) == []


def test_a_condition_in_parts_joins_the_filter(experiment: Experiment) -> None:
    html = get(f"{PAGE}table/?filter=arm = 'A'&field=params.dropout&operator=<&value=0.2")
    assert "params.dropout &lt; 0.2" in html
    assert names(html)
    for name in names(html):
        trial = Trial.objects.get(study__arm_index=0, number=int(name[1:]))
        assert decode(trial.parameters)["dropout"] < 0.2


def test_names_that_runs_bring_are_text_on_the_page(experiment: Experiment) -> None:
    trial = Trial.objects.earliest("pk")
    bad = "<img src=x onerror=alert(1)>"
    post("bulk/", runs=trial.pk, action="name", name=bad)
    post("bulk/", runs=trial.pk, action="tag", tag=bad, value=bad)
    html = get(f"{PAGE}?facets=1&col=tags&col=name&filter=name = '{bad}'")
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


def test_charts_draw_ticked_runs_and_many_as_a_band(experiment: Experiment) -> None:
    ids = list(Trial.objects.values_list("pk", flat=True))
    html = get(f"{PAGE}charts/?trials={ids[0]},{ids[3]}")
    figure = json.loads(re.findall(r'id="figure-runs-\w+">(.*?)</script>', html, re.S)[0])
    assert {trace["meta"]["trial"] for trace in figure["data"]} == {ids[0], ids[3]}


def test_more_runs_than_can_be_told_apart_are_a_band_and_said(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.trials.table.queries.drawn_runs.MOST_CURVES", 5)
    ids = ",".join(str(pk) for pk in Trial.objects.values_list("pk", flat=True))
    html = get(f"{PAGE}charts/?trials={ids}")
    assert "12 of 12 ticked runs" in html
    figure = json.loads(re.findall(r'id="figure-runs-\w+">(.*?)</script>', html, re.S)[0])
    assert all("mean" in trace["meta"] for trace in figure["data"])


def test_a_comparison_of_more_ticks_than_an_address_holds_says_so(experiment: Experiment) -> None:
    ids = ",".join(str(pk) for pk in Trial.objects.values_list("pk", flat=True))
    html = get(f"{PAGE}?trials={ids}&of=1200&only=ticked")
    assert "12 of 1,200 ticked runs are shown" in html
    assert "12 of 1,200 ticked runs" in get(f"{PAGE}charts/?trials={ids}&of=1200")
    assert "figure-runs" not in get(f"{PAGE}?trials=987654&of=1200"), "all of them are gone"
    assert "ticked runs are shown" not in get(f"{PAGE}?trials={ids}&only=ticked")


def test_ten_drawn_runs_have_ten_colours_and_no_legend(experiment: Experiment) -> None:
    html = get(f"{PAGE}charts/")
    figure = json.loads(re.findall(r'id="figure-runs-\w+">(.*?)</script>', html, re.S)[0])
    colours = {
        trace["meta"]["trial"]: trace["line"]["color"]
        for trace in figure["data"]
        if "trial" in trace["meta"] and "line" in trace
    }
    assert len(colours) == len(set(colours.values())) == 10
    assert not figure["layout"]["showlegend"]


def test_groups_draw_a_mean_and_single_runs_on_demand(experiment: Experiment) -> None:
    html = get(f"{PAGE}charts/?group=arm&experiments=label-smoothing")
    assert '"members":"runs"' in html, "the mean says of how many it is"
    figure = json.loads(re.findall(r'id="figure-runs-\w+">(.*?)</script>', html, re.S)[0])
    assert {trace["meta"].get("mean", "")[:1] for trace in figure["data"]} == {"A", "B"}
    html = get(f"{PAGE}charts/?group=arm&experiments=label-smoothing&singles=1")
    figure = json.loads(re.findall(r'id="figure-runs-\w+">(.*?)</script>', html, re.S)[0])
    assert any("trial" in trace["meta"] for trace in figure["data"])


def test_groups_are_a_table_of_means(experiment: Experiment) -> None:
    html = get(f"{PAGE}?group=params.hidden_units&group=arm")
    assert "Table of groups" in html
    assert " ± " in html
    assert "best 0." in html


def test_a_project_sees_no_run_of_another(experiment: Experiment) -> None:
    cast.project("speech")
    trial = Trial.objects.earliest("pk")
    other = "/projects/speech/runs/"
    assert names(get(other)) == []
    assert client().get(f"{other}?experiments=label-smoothing").status_code == 404
    assert get(f"{other}ids/") == ""
    assert "figure-runs" not in get(f"{other}charts/?trials={trial.pk}")
    made = client("cleo").post(f"{other}bulk/", {"runs": trial.pk, "action": "tag", "tag": "x"})
    assert made.status_code == 302
    trial.refresh_from_db()
    assert decode(trial.user_attributes) == {}


def test_all_that_match_can_be_ticked(experiment: Experiment) -> None:
    ids = get(f"{PAGE}ids/?filter=arm = 'A'").split(",")
    assert {int(trial_id) for trial_id in ids} == set(
        Trial.objects.filter(study__arm_index=0).values_list("pk", flat=True)
    )


def test_runs_are_tagged_noted_and_named_also_after_their_end(experiment: Experiment) -> None:
    ids = list(Trial.objects.order_by("pk").values_list("pk", flat=True)[:3])
    joined = ",".join(map(str, ids))
    assert post("bulk/", runs=joined, action="tag", tag="keep") == "Tagged 3 runs."
    assert post("bulk/", runs=joined, action="note", note="Odd.") == "Noted 3 runs."
    assert post("bulk/", runs=ids[0], action="name", name="first") == "Named 1 run."
    trial = Trial.objects.get(pk=ids[0])
    assert decode(trial.user_attributes) == {"keep": "", "mlflow.note.content": "Odd."}
    assert trial.run_name == "first"
    assert len(names(get(f"{PAGE}?filter=tags.keep IS NOT NULL"))) == 3
    post("bulk/", runs=joined, action="untag", tag="keep")
    assert names(get(f"{PAGE}?filter=tags.keep IS NOT NULL")) == []


def test_viewers_change_nothing(experiment: Experiment) -> None:
    trial = Trial.objects.earliest("pk")
    for action in ("tag", "note", "name", "cancel", "retry", "archive", "restore", "seeds"):
        made = client("ben").post(f"{PAGE}bulk/", {"runs": trial.pk, "action": action})
        assert made.status_code == 403, action


def test_archived_runs_leave_the_table_and_come_back(experiment: Experiment) -> None:
    trial = Trial.objects.filter(study__arm_index=0).earliest("pk")
    assert post("bulk/", runs=trial.pk, action="archive") == "Archived 1 run."
    assert "A0" not in names(get(PAGE))
    assert names(get(f"{PAGE}?archived=1")) == ["A0"]
    post("bulk/", runs=trial.pk, action="restore")
    assert "A0" in names(get(PAGE))


def test_runs_that_go_on_are_not_archived() -> None:
    cast.project()
    cast.running_search(done=1, trials_per_arm=4)
    running = Trial.objects.filter(state=TrialState.RUNNING).earliest("pk")
    assert "None of these runs has ended" in post("bulk/", runs=running.pk, action="archive")


def test_what_cannot_be_cancelled_or_retried_is_said_with_its_reason() -> None:
    cast.project()
    cast.failing_search()
    ids = ",".join(str(pk) for pk in Trial.objects.values_list("pk", flat=True))
    failed = Trial.objects.filter(state=TrialState.FAILED).count()
    said = post("bulk/", runs=ids, action="retry")
    assert f"Queued again {failed} runs." in said
    assert "tried again already" in post("bulk/", runs=ids, action="retry")
    waiting = Trial.objects.filter(state=TrialState.WAITING)
    assert waiting.count() == failed
    ids = ",".join(str(pk) for pk in Trial.objects.values_list("pk", flat=True))
    said = post("bulk/", runs=ids, action="cancel")
    assert f"Cancelled {failed} runs." in said
    assert "ended already" in said
    assert not waiting.exists()


def test_files_hold_exactly_what_the_table_shows(experiment: Experiment) -> None:
    trial = Trial.objects.order_by("pk")[1]
    ids = f"{trial.pk}"
    query = "experiments=label-smoothing&col=params.dropout&col=metrics.train_loss&col=start_time"
    dropout = decode(trial.parameters)["dropout"]
    loss = cast.series_of(trial)["train_loss"][-1]

    def export(kind: str, runs: str) -> bytes:
        made = client().post(f"{PAGE}export/", {"runs": runs, "query": query, "kind": kind})
        assert made.status_code == 200
        return b"".join(made.streaming_content)  # type: ignore[arg-type]

    (row,) = csv.DictReader(io.StringIO(export("csv", ids).decode()))
    assert float(row["params.dropout"]) == dropout
    assert float(row["metrics.train_loss"]) == loss
    (found,) = json.loads(export("json", ids))
    assert (found["id"], found["params.dropout"]) == (trial.pk, dropout)
    table = pyarrow.parquet.read_table(io.BytesIO(export("parquet", ids))).to_pylist()
    assert table[0]["metrics.train_loss"] == loss
    assert table[0]["start_time"] == trial.started_at
    assert len(json.loads(export("json", ""))) == 12


def test_ticked_runs_that_cannot_be_repeated_over_seeds_are_refused_with_the_reason(
    experiment: Experiment,
) -> None:
    ids = list(Trial.objects.order_by("pk").values_list("pk", flat=True))
    made = client("cleo").post(f"{PAGE}bulk/", {"runs": f"{ids[3]},{ids[1]}", "action": "seeds"})
    seeds = "/projects/digits/experiments/label-smoothing/seeds/"
    assert made["Location"] == f"{seeds}?trials={ids[3]},{ids[1]}#declare"

    def refused(*runs: int) -> str:
        return post("bulk/", runs=",".join(map(str, runs)), action="seeds")

    assert "at most 10 candidates at once, found 12" in refused(*ids)
    Trial.objects.filter(pk=ids[0]).update(value=None)
    assert "1 of these runs has no score" in refused(ids[1], ids[0])
    outside = runs.create(access=cast.access("cleo"), new=runs.NewRun(experiment="outside"))
    assert "these are of several" in refused(ids[1], outside.run_id)
    study = studies.create(name="free", directions=["minimize"], project="digits")
    free, _ = trial_creation.create(study_id=study, state=TrialState.RUNNING)
    assert "a study without an experiment" in refused(free)
    Trial.objects.filter(pk=ids[2]).update(archived_at=cast.START)
    assert "archived runs are among these" in refused(ids[1], ids[2])
    Experiment.objects.filter(pk=experiment.pk).update(archived_at=cast.START)
    assert "label-smoothing is archived" in refused(ids[1])


def test_views_are_saved_for_oneself_or_the_project(experiment: Experiment) -> None:
    query = "?filter=arm = 'A'&col=score&page=3&trials=1,2"
    assert post("views/", who="ben", name="Mine", query=query) == "View saved."
    assert post("views/", who="cleo", name="Ours", query=query, **{"for": "project"})
    mine, ours = RunsView.objects.order_by("name")
    assert mine.owner == cast.person("ben")
    assert ours.owner is None
    assert "page" not in mine.query
    assert "trials" not in mine.query
    assert "Mine" in get(PAGE, "ben")
    assert "Mine" not in get(PAGE, "cleo")
    assert "Ours" in get(PAGE, "ben")
    html = get(f"{PAGE}?{ours.query}")
    assert all(name.startswith("A") for name in names(html))


def test_a_view_of_the_same_name_is_replaced(experiment: Experiment) -> None:
    for query in ("col=score", "col=state"):
        post("views/", who="ben", name="Mine", query=query)
    assert RunsView.objects.get().query == "col=state"


def test_only_editors_keep_views_of_the_project(experiment: Experiment) -> None:
    made = client("ben").post(f"{PAGE}views/", {"name": "x", "query": "", "for": "project"})
    assert made.status_code == 403
    post("views/", who="cleo", name="Ours", query="col=score", **{"for": "project"})
    view = RunsView.objects.get()
    for rest in ("delete", "default"):
        assert client("ben").post(f"{PAGE}views/{view.pk}/{rest}/").status_code == 403
    assert client("dan").post(f"{PAGE}views/{view.pk}/delete/").status_code == 404


def test_nobody_reaches_the_view_of_another(experiment: Experiment) -> None:
    post("views/", who="ben", name="Mine", query="col=score")
    view = RunsView.objects.get()
    assert client("cleo").post(f"{PAGE}views/{view.pk}/delete/").status_code == 404
    cast.project("speech")
    other = client("ben").post(f"/projects/speech/runs/views/{view.pk}/delete/")
    assert other.status_code == 404
    assert RunsView.objects.count() == 1


def test_a_bare_address_opens_the_default_view(experiment: Experiment) -> None:
    post("views/", name="Ours", query="filter=arm = 'B'", **{"for": "project"})
    view = RunsView.objects.get()
    assert "open with this view" in post(f"views/{view.pk}/default/")
    made = client().get(PAGE)
    assert made.status_code == 302
    assert f"view={view.pk}" in made["Location"]
    assert all(name.startswith("B") for name in names(get(made["Location"])))
    post(f"views/{view.pk}/default/")
    assert client().get(PAGE).status_code == 200


def test_a_default_view_of_an_experiment_that_is_gone_stands_in_nobodys_way(
    experiment: Experiment,
) -> None:
    query = f"experiments={experiment.name}"
    post("views/", name="Old", query=query, **{"for": "project"})
    post(f"views/{RunsView.objects.get().pk}/default/")
    assert client().get(PAGE).status_code == 302
    Experiment.objects.filter(pk=experiment.pk).update(name="renamed")
    assert client().get(PAGE).status_code == 200


def test_an_open_page_hears_of_changes_only(experiment: Experiment) -> None:
    cast.running_search(done=1, trials_per_arm=4)
    html = get(f"{PAGE}?sort=score")
    cursor = re.findall(r'data-cursor="([^"]+)"', html)[0]
    ben = client()
    assert ben.get(f"{PAGE}live/", {"since": cursor}).status_code == 204
    Trial.objects.filter(state=TrialState.RUNNING).update(latest_step=99)
    answer = ben.get(f"{PAGE}live/", {"since": cursor}).json()
    assert answer["grown"]
    assert "data-runs-table" in answer["parts"]["trials"]
    assert answer["again"]
    assert ben.get(f"{PAGE}live/", {"since": answer["since"]}).status_code == 204


def test_points_that_come_while_the_table_is_read_are_news(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.running_search(done=1, trials_per_arm=4)

    def read_then_log(scope: RunScope, query: QueryDict, fields: RunFields) -> RunCharts:
        Trial.objects.filter(state=TrialState.RUNNING).update(latest_step=99)
        return run_charts(scope, query, fields)

    monkeypatch.setattr("experiments.trials.pages.runs.run_charts", read_then_log)
    cursor = re.findall(r'data-cursor="([^"]+)"', get(PAGE))[0]
    assert "parts" in client().get(f"{PAGE}live/", {"since": cursor}).json()
