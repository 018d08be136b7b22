"""Runs of any experiments side by side."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from experiments.models import Artifact, Environment, Experiment, Trial
from experiments.models.trial import TrialState
from experiments.trials.artifacts.storage import local_path
from experiments.trials.panels.run_comparison import Comparing, RunComparison
from tests import cast
from tests.cast.tracker import Tracker

pytestmark = pytest.mark.django_db
PAGE = "/projects/digits/compare/"


@pytest.fixture(scope="module")
def made_searches(module_db: None) -> tuple[Experiment, Experiment]:
    cast.project()
    other = cast.LABEL_SMOOTHING.format(name="longer", goal="Longer?", trials=3)
    first = cast.finished_search(trials_per_arm=4)
    second = cast.search("longer", source=other.replace("value: 60", "value: 90"))
    cast.finish_search(second, 3)
    return first, second


@pytest.fixture
def searches(made_searches: tuple[Experiment, Experiment]) -> tuple[Experiment, Experiment]:
    return copy.deepcopy(made_searches)


def complete(experiment: Experiment) -> list[Trial]:
    rows = Trial.objects.filter(study__experiment=experiment, state=TrialState.COMPLETE)
    return list(rows.order_by("pk"))


def page(rest: str = "", who: str = "ben", **asked: object) -> str:
    client = Client()
    client.force_login(cast.person(who))
    answer = client.get(f"{PAGE}{rest}?{urlencode(asked, doseq=True)}")
    assert answer.status_code == 200, answer
    return answer.content.decode()


def rows(html: str) -> dict[str, list[str]]:
    """Texts of each row's cells by the row's name."""
    found = {}
    for head, cells in re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', html, re.S):
        name = re.sub(r"<.*", "", head, flags=re.S).strip()
        found[name] = [
            " ".join(re.sub(r"<[^>]+>", " ", cell).split())
            for cell in re.findall(r"<td.*?>(.*?)</td>", cells, re.S)
        ]
    return found


def test_curves_of_runs_of_several_experiments_share_a_chart(
    searches: tuple[Experiment, Experiment],
) -> None:
    one, two = (complete(search)[0] for search in searches)
    html = page(run=f"{one.pk},{two.pk}")
    figure = json.loads(re.findall(r'id="figure-runs-\w+">(.*?)</script>', html, re.S)[0])
    assert {trace["meta"]["trial"] for trace in figure["data"]} == {one.pk, two.pk}
    named = {trace["name"] for trace in figure["data"] if trace["showlegend"]}
    assert any(name.startswith("longer ") for name in named)
    assert '<option value="time">' in html


def test_parameters_that_differ_are_shown_and_the_same_ones_on_demand(
    searches: tuple[Experiment, Experiment],
) -> None:
    one, two = (complete(search)[0] for search in searches)
    for trial, rate in ((one, 0.01), (two, 0.02)):
        Trial.objects.filter(pk=trial.pk).update(
            parameters=json.dumps({"dropout": 0.5, "learning_rate": rate})
        )
    shown = rows(page(run=[one.pk, two.pk]))
    assert shown["learning_rate"] == ["0.01", "0.02"]
    assert "dropout" not in shown
    assert "optimizer" not in shown
    every = rows(page(run=[one.pk, two.pk], all=1))
    assert every["optimizer"] == ["adam", "adam"]
    assert list(every).index("learning_rate") < list(every).index("dropout")


def test_metrics_are_told_as_differences_to_the_chosen_baseline(
    searches: tuple[Experiment, Experiment],
) -> None:
    one, two = complete(searches[0])[:2]
    Trial.objects.filter(pk=one.pk).update(value=0.5)
    Trial.objects.filter(pk=two.pk).update(value=0.6)
    assert rows(page(run=f"{one.pk},{two.pk}"))["validation_accuracy"] == [
        "0.5000",
        "0.6000 +20.0 % better",
    ]
    turned = page(run=f"{one.pk},{two.pk}", baseline=two.pk)
    assert rows(turned)["validation_accuracy"] == ["0.6000", "0.5000 \N{MINUS SIGN}16.7 % worse"]


def test_deviations_over_seeds_say_what_they_were_measured_from(
    searches: tuple[Experiment, Experiment],
) -> None:
    replication = cast.repeated(searches[0], done=4, looks=(4, 8))
    best = searches[0].best_trial
    assert best is not None
    replicates = Trial.objects.filter(study__replication=replication, state=TrialState.COMPLETE)
    for place, trial in enumerate(replicates.filter(study__side="candidate")):
        Trial.objects.filter(pk=trial.pk).update(value=0.9 + 0.01 * place)  # SD 0.0129
    Trial.objects.filter(pk=best.pk).update(value=0.9)
    other = next(trial for trial in complete(searches[0]) if trial.pk != best.pk)
    Trial.objects.filter(pk=other.pk).update(value=0.9258)
    html = page(run=f"{best.pk},{other.pk}")
    assert rows(html)["validation_accuracy"][1] == "0.9258 +2.9 % · +2.0 SD better"
    assert "SD 0.013, 4 runs" in html
    assert "coloured beyond 4.5 SD" in html
    for score, coloured in ((0.945, False), (0.97, True)):  # 3.5 and 5.4 SD
        Trial.objects.filter(pk=other.pk).update(value=score)
        assert ('"block change good"' in page(run=f"{best.pk},{other.pk}")) is coloured
    html = page(run=f"{best.pk},{other.pk}", baseline=other.pk)
    assert "pooled over 8 runs of 2 configurations" in html


def test_replicates_that_diverged_beyond_all_bounds_give_no_deviation(
    searches: tuple[Experiment, Experiment],
) -> None:
    replication = cast.repeated(searches[0], done=4, looks=(4, 8))
    replicates = Trial.objects.filter(study__replication=replication, state=TrialState.COMPLETE)
    for place, trial in enumerate(replicates):
        Trial.objects.filter(pk=trial.pk).update(value=1e200 * place)
    html = page(run=[trial.pk for trial in complete(searches[0])[:2]])
    assert "validation_accuracy" in rows(html)
    assert "over seeds (SD)" not in html


def test_an_experiment_stands_for_its_candidate_or_best_run(
    searches: tuple[Experiment, Experiment],
) -> None:
    second = searches[0]
    cast.repeated(second, done=0)
    html = page(experiment=["label-smoothing", "longer", "gone"])
    assert "candidate of label-smoothing" in html
    assert "best of longer" in html
    assert "There is no experiment gone here." in html


def test_more_runs_than_are_compared_are_said_and_missing_ones_too(
    searches: tuple[Experiment, Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.trials.table.queries.compared_runs.MOST_RUNS", 2)
    ids = [trial.pk for trial in complete(searches[0])[:3]]
    html = page(run=ids)
    assert "3 runs were named; the first 2 are compared." in html
    html = page(run=[ids[0], 987654])
    assert "1 run is left out" in html
    assert "One run." in html


def test_nothing_to_compare_offers_runs_and_experiments(
    searches: tuple[Experiment, Experiment],
) -> None:
    html = page()
    assert "Open the runs table" in html
    assert 'name="experiment" value="longer"' in html


def test_runs_of_another_project_are_those_of_nobody(
    searches: tuple[Experiment, Experiment],
) -> None:
    cast.project("speech")
    trial = complete(searches[0])[0]
    for rest in ("", "charts/"):
        client = Client()
        client.force_login(cast.person("ben"))
        html = client.get(f"/projects/speech/compare/{rest}?run={trial.pk}").content.decode()
        assert "label-smoothing" not in html
        assert "figure-runs" not in html
    stranger = Client()
    stranger.force_login(cast.person("dan"))
    for rest in ("", "charts/", "live/"):
        assert stranger.get(f"{PAGE}{rest}?run={trial.pk}").status_code == 404


def test_the_comparison_is_reached_from_runs_experiments_and_champions() -> None:
    cast.project()
    for name in ("wider", "deeper"):
        cast.decided(name, "adopt", "It pays.")
    client = Client()
    client.force_login(cast.person("ben"))
    pages = {
        rest: client.get(f"/projects/digits/{rest}").content.decode()
        for rest in ("", "runs/", "champions/", "experiments/wider/")
    }
    assert f'href="{PAGE}"' in pages[""]
    assert f'action="{PAGE}"' in pages["runs/"]
    assert f'href="{PAGE}?experiment=deeper&amp;experiment=wider&amp;"' in pages["champions/"]
    assert f'href="{PAGE}?experiment=wider"' in pages["experiments/wider/"]


def test_replicates_take_no_part_until_they_are_judged(
    searches: tuple[Experiment, Experiment],
) -> None:
    replication = cast.repeated(searches[0], done=2, looks=(4, 8))
    trial = Trial.objects.filter(study__replication=replication).first()
    assert trial is not None
    assert "1 run is left out" in page(run=trial.pk)


def test_code_that_differs_is_told_with_its_packages(
    searches: tuple[Experiment, Experiment],
) -> None:
    one, two = complete(searches[0])[:2]
    place = json.loads(Environment.objects.get(trials=one).document)
    place["packages"]["torch"] = "2.12.0"
    commit = {"name": "team", "digest": "ab" * 32, "commit": "c" * 40, "changed": True}
    place["code"] = {"digest": "ab" * 32, "packages": [commit]}
    other = Environment.objects.create(digest="f" * 64, document=json.dumps(place))
    Trial.objects.filter(pk=two.pk).update(environment=other)
    shown = rows(page(run=f"{one.pk},{two.pk}"))
    assert shown["torch"] == ["2.13.0", "2.12.0"]
    assert "numpy" not in shown
    assert shown["source"][1] == "commit cccccccccc with changes"


def keep(trial: Trial, name: str, text: str, kind: str) -> None:
    path = f"trials/{trial.pk}/{name}"
    whole = local_path(path)
    whole.parent.mkdir(parents=True, exist_ok=True)
    whole.write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    Artifact.objects.create(
        trial=trial, kind=kind, name=name, path=path, size=len(text), sha256=digest, attempt=1
    )


def test_differences_in_text_are_lines_of_escaped_text(
    searches: tuple[Experiment, Experiment], tmp_path: Path
) -> None:
    one, two = complete(searches[0])[:2]
    with override_settings(ARTIFACTS_DIR=tmp_path):
        keep(two, "code.diff", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+<script>\n", "diff")
        keep(one, "config.yaml", "depth: 2\nwidth: 8\n", "file")
        keep(two, "config.yaml", "depth: 3\nwidth: 8\n", "file")
        html = page(run=f"{one.pk},{two.pk}")
        assert '<span class="added">+&lt;script&gt;</span>' in html
        assert "ran without uncommitted changes" in html
        html = page(run=f"{one.pk},{two.pk}", diff="file:config.yaml")
        assert '<span class="removed">-depth: 2</span>' in html
        assert '<span class="added">+depth: 3</span>' in html
        assert '<span class="same"> width: 8</span>' in html


def test_many_files_do_not_hide_uncommitted_changes(
    searches: tuple[Experiment, Experiment], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("experiments.trials.table.queries.compared_files.MOST_FILES", 2)
    one, two = complete(searches[0])[:2]
    with override_settings(ARTIFACTS_DIR=tmp_path):
        for trial in (one, two):
            keep(trial, "code.diff", "+the same\n", "diff")
        for step in range(3):
            keep(two, f"{step}.txt", "x", "text")
        shown = rows(page(run=f"{one.pk},{two.pk}", all=1))["uncommitted changes"]
        assert shown[0] == shown[1] != "\N{EN DASH}"


def test_experiment_files_of_two_experiments_are_compared_line_by_line(
    searches: tuple[Experiment, Experiment],
) -> None:
    html = page(experiment=["label-smoothing", "longer"])
    assert "Experiment file" in html
    assert re.search(r'<span class="added">\+ +epochs: .*90', html)


def test_the_queries_do_not_grow_with_the_runs(
    searches: tuple[Experiment, Experiment],
) -> None:
    ids = [trial.pk for search in searches for trial in complete(search)]

    client = Client()
    client.force_login(cast.person("ben"))

    def asked(runs: list[int]) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(PAGE, {"run": runs}).status_code == 200
        return len(queries)

    asked(ids)  # fills caches of the process
    assert asked(ids) == asked([ids[0], ids[-1]]) <= 30


def test_runs_that_programs_outside_logged_are_compared_with_ours(
    searches: tuple[Experiment, Experiment],
) -> None:
    tracker = Tracker()
    run = tracker.run(tracker.experiment())
    tracker.param(run, learning_rate="0.1", optimizer="lion")
    tracker.log(run, "f1", 0.4, 0.5)
    tracker.end(run)
    theirs = Trial.objects.get(run_id=run)
    ours = complete(searches[0])[0]
    shown = rows(page(run=[ours.pk, theirs.pk]))
    assert shown["optimizer"] == ["adam", "lion"]
    assert shown["f1"] == ["\N{EN DASH}", "0.5000 last"]
    assert shown["experiment"] == ["label-smoothing", "from lightning"]


def test_runs_of_a_study_of_optuna_are_compared_by_their_value(
    searches: tuple[Experiment, Experiment],
) -> None:
    study = cast.free_study(trials=3)
    runs = [trial.pk for trial in study.trials.filter(state=TrialState.COMPLETE)[:2]]
    html = page(run=[*runs, complete(searches[0])[0].pk])
    assert f'/projects/digits/studies/{study.pk}/"' in html
    shown = rows(html)
    assert re.match(r"\d\.\d+ [+\N{MINUS SIGN}][\d.,]+ %$", shown["value"][1])
    assert shown["value"][2] == "\N{EN DASH}"
    assert "learning_rate" in shown


def test_whatever_stands_in_the_address_the_page_answers(
    searches: tuple[Experiment, Experiment],
) -> None:
    ids = [trial.pk for trial in complete(searches[0])[:2]]
    for asked in (
        {"run": "x,,-1,99999999999999999999"},
        {"run": ids, "baseline": "x", "values": "x", "diff": "file:x", "with": "7", "all": "x"},
        {"run": ids, "media": "x", "metric": "x", "values": "last"},
        {"experiment": ["", "a" * 5000]},
    ):
        page(**asked)


def test_an_open_comparison_is_told_of_news_once(
    searches: tuple[Experiment, Experiment],
) -> None:
    running = cast.running_search("live", done=2)
    trial = Trial.objects.get(
        study__experiment=running, state=TrialState.RUNNING, study__arm_index=0
    )
    other = complete(searches[0])[0]
    html = page(run=f"{trial.pk},{other.pk}")
    cursor = re.findall(r'data-cursor="([^"|]+\|[^"]+)"', html)[0]
    client = Client()
    client.force_login(cast.person("ben"))
    address = f"{PAGE}live/?run={trial.pk},{other.pk}"
    assert client.get(f"{address}&since={cursor}").status_code == 204
    Trial.objects.filter(pk=trial.pk).update(latest_value=0.1234, latest_step=999)
    news = client.get(f"{address}&since={cursor}").json()
    assert "0.1234 latest" in rows(news["parts"]["differences"])["validation_accuracy"][0]
    assert "media" not in news["parts"]
    assert news["again"] is True


def test_points_that_come_while_a_comparison_is_read_are_news(
    searches: tuple[Experiment, Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = cast.running_search("live", done=2)
    trial = Trial.objects.filter(study__experiment=running, state=TrialState.RUNNING).first()
    assert trial is not None
    read = Comparing.comparison

    def read_then_log(self: Comparing) -> RunComparison:
        found = read(self)
        monkeypatch.undo()
        Trial.objects.filter(pk=trial.pk).update(latest_step=999, latest_value=0.5)
        return found

    client = Client()
    client.force_login(cast.person("ben"))
    asked = {"run": f"{trial.pk},{complete(searches[0])[0].pk}", "since": ""}
    monkeypatch.setattr(Comparing, "comparison", read_then_log)
    cursor = re.findall(r'data-cursor="([^"|]+\|[^"]+)"', page(run=asked["run"]))[0]
    assert client.get(f"{PAGE}live/", asked | {"since": cursor}).status_code == 200
    monkeypatch.setattr(Comparing, "comparison", read_then_log)
    Trial.objects.filter(pk=trial.pk).update(latest_step=998)
    cursor = client.get(f"{PAGE}live/", asked).json()["since"]
    assert client.get(f"{PAGE}live/", asked | {"since": cursor}).status_code == 200


def test_curves_of_scores_of_several_runs_share_a_chart(
    searches: tuple[Experiment, Experiment],
) -> None:
    runs = [complete(search)[0] for search in searches]
    for trial in runs:
        cast.some_media(trial)
    html = page(run=",".join(str(trial.pk) for trial in runs))
    charts = re.findall(r'id="figure-overlay-\w+">(.*?)</script>', html, re.S)
    figure = json.loads(charts[0])
    assert len(charts) == 1, "matrices stand side by side"
    lines = figure["data"]
    assert [trace["line"]["color"] for trace in lines] == ["var(--hue-1)", "var(--hue-2)"]
    assert all(search.name in trace["name"] for search, trace in zip(searches, lines, strict=True))
