from __future__ import annotations

import re

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from experiments.models import Experiment, Study, Trial
from experiments.models.experiment import ExperimentState
from experiments.trials.lifecycle.services import experiments, stop_rules
from tests import cast

pytestmark = pytest.mark.django_db


def page(client: Client, experiment: Experiment, rest: str = "", name: str = "ada") -> str:
    client.force_login(cast.person(name))
    answer = client.get(cast.address(experiment, rest))
    assert answer.status_code == 200
    return answer.content.decode()


def path(text: str) -> list[tuple[str, str]]:
    """(state, words) of each step."""
    steps = re.findall(r'<li class="(\w+)"[^>]*><a.*?<span class="say">(.*?)</span>', text, re.S)
    return [(state, words) for state, words in steps]


def test_a_new_search_says_what_each_part_will_show(client: Client) -> None:
    cast.project()
    text = page(client, cast.search())
    assert "Curves appear with the first evaluations" in text
    assert "No trials yet" in text
    assert "rules read its curves" in text
    assert path(text)[1] == ("now", "0 of 24 trials, 0 running")


def test_a_running_search_shows_where_it_stands(client: Client) -> None:
    cast.project()
    experiment = cast.running_search(done=6, trials_per_arm=8)
    cast.some_findings(experiment)
    text = page(client, experiment)
    assert [state for state, _ in path(text)] == ["done", "now", "later", "later", "later"]
    assert path(text)[0][1] == "1 scientific, 3 nuisance, 2 fixed"
    assert path(text)[2][1] == "2 warnings so far"
    assert "Read the findings" in text
    assert "Best 3 of 12 trials and 2 running" in text


def test_a_finished_search_asks_for_seeds(client: Client) -> None:
    cast.project()
    text = page(client, cast.finished_search(trials_per_arm=6))
    assert [state for state, _ in path(text)] == ["done", "done", "done", "now", "later"]
    assert ">Repeat over seeds</a>" in text


def test_open_warnings_stand_before_the_seeds(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    cast.some_findings(experiment)
    assert path(page(client, experiment))[2] == ("now", "2 warnings to answer")


def test_three_findings_are_open_the_gravest_is_the_banner_and_the_rest_is_folded(
    client: Client,
) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    cast.some_findings(experiment)
    for trial in Trial.objects.filter(study__experiment=experiment)[:3]:
        cast.finding(
            experiment,
            trial=trial,
            rule="divergence",
            severity="problem",
            title="Training diverged early, at step 3",
            advice="Lower the learning rate.",
        )
    cast.finding(experiment, rule="points_per_value", severity="notice", title="Too few trials")
    text = page(client, experiment)
    words = "1 problem, 2 warnings"
    assert path(text)[2] == ("now", f"{words} to answer") and f"{words}, 1 notice<" in text
    assert "<p>3 of 12 trials: training diverged. Lower the learning rate." in text
    findings = text[text.index('id="findings"') :]
    shown, _, folded = findings.partition('<details class="gap-top" data-key="further"')
    assert shown.count('<li class="finding') == 3 and folded.startswith("><summary")
    assert "1 more" in folded and "Too few trials" not in shown
    row = client.get("/projects/digits/").content.decode()
    assert f'<span class="chip bad">{words}, 1 notice</span>' in row


def test_complete_seeds_lead_to_the_decision(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    cast.repeated(experiment, looks=(3,), done=3)
    text = page(client, experiment)
    assert path(text)[3:] == [("done", "3 of 3 pairs"), ("now", "ready for your decision")]
    assert "Adopt or reject" in text
    assert "Adopt or reject" not in page(client, experiment, name="cleo")


def test_a_decided_experiment_leads_to_its_decision(client: Client) -> None:
    cast.project()
    experiment = cast.decided("wider", "adopt", "It pays.")
    text = page(client, experiment)
    assert path(text)[4] == ("done", "adopt, decision 1")
    assert "/decisions/1/" in text


@pytest.mark.parametrize("tab", ["curves", "axes", "isolation", "parallel", "history", "nonsense"])
def test_every_tab_draws_and_its_fragment_is_the_same(client: Client, tab: str) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    whole = page(client, experiment, f"?tab={tab}")
    fragment = page(client, experiment, f"charts/?tab={tab}")
    figures = re.findall(r'data-figure="([^"]+)"', whole)
    assert figures and figures == re.findall(r'data-figure="([^"]+)"', fragment)
    assert "<html" not in fragment


@pytest.mark.parametrize("tab", ["axes", "isolation", "parallel", "history"])
def test_charts_of_an_empty_search_say_when_they_come(client: Client, tab: str) -> None:
    cast.project()
    assert "first complete trial" in page(client, cast.search(), f"?tab={tab}")


def test_trials_that_were_picked_are_drawn_instead_of_the_best(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    last = experiment.studies.get(arm_index=0).trials.filter(state=1).order_by("value").first()
    assert last is not None
    text = page(client, experiment, f"?trials={last.pk},999999,x")
    drawn = set(re.findall(r'"meta":\{"trial":(\d+)', text))
    assert drawn == {str(last.pk)}
    assert "Back to the best trials" in text


def test_another_metric_can_be_chosen(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    assert '"series":"validation_accuracy"' in page(client, experiment)
    loss = page(client, experiment, "?metric=loss")
    assert '"series":"train_loss"' in loss and '"series":"validation_accuracy"' not in loss


def test_test_scores_stay_out_of_every_page_of_the_experiment(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    cast.repeated(experiment, looks=(3,), done=3)
    for rest in ("", "?tab=axes", "?tab=history", "seeds/", "decide/", "charts/"):
        assert "test_accuracy" not in page(client, experiment, rest)


def test_the_reproduce_line_carries_the_best_trial(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=4)
    text = page(client, experiment)
    best = experiment.best_trial
    assert best is not None
    assert f"--train-seed={best.train_seed}" in text
    assert f"--score={best.value!r}" in text


def test_only_editors_can_stop_a_search(client: Client) -> None:
    cast.project()
    experiment = cast.search()
    assert "Stop the search" not in page(client, experiment, name="ben")
    assert client.post(cast.address(experiment, "stop/")).status_code == 403
    assert "Stop the search" in page(client, experiment, name="cleo")
    answer = client.post(cast.address(experiment, "stop/"), follow=True)
    assert "The search ends" in answer.content.decode()
    experiment.refresh_from_db()
    assert experiment.state == ExperimentState.STOPPED


def test_a_search_is_paused_and_goes_on(client: Client) -> None:
    cast.project()
    experiment = cast.search()
    page(client, experiment, name="cleo")
    client.post(cast.address(experiment, "pause/"))
    experiment.refresh_from_db()
    assert experiment.state == ExperimentState.PAUSED
    assert "no new ones start until somebody resumes it" in page(client, experiment, name="cleo")
    client.post(cast.address(experiment, "resume/"))
    experiment.refresh_from_db()
    assert experiment.state == ExperimentState.RUNNING


def test_a_second_stop_says_that_it_had_ended(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=2)
    client.force_login(cast.person("ada"))
    answer = client.post(cast.address(experiment, "stop/"), follow=True)
    assert "has ended already" in answer.content.decode()


def test_a_button_needs_a_post(client: Client) -> None:
    cast.project()
    experiment = cast.search()
    client.force_login(cast.person("ada"))
    assert client.get(cast.address(experiment, "stop/")).status_code == 405


def test_an_experiment_without_a_file_has_a_page_too(client: Client) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=3)
    Experiment.objects.filter(pk=experiment.pk).update(source="", document="{}")
    for rest in ("", "?tab=axes", "?tab=parallel", "?tab=history"):
        assert "described by a program" in page(client, experiment, rest)


def test_the_page_costs_the_same_with_ten_and_with_a_thousand_trials(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=5)
    client.force_login(cast.person("ada"))
    address = cast.address(experiment)
    with django_assert_num_queries(30):
        client.get(address)
    cast.many_trials(experiment, 990)
    with django_assert_num_queries(29):
        answer = client.get(address)
    assert len(answer.content) < 200_000


@pytest.mark.parametrize(
    "why", ["used 2 GPU hours", "ran for 60 minutes", "no improvement for 20 trials"]
)
def test_what_stopped_a_search_is_on_its_page(client: Client, why: str) -> None:
    cast.project()
    experiment = cast.search()
    experiments.stop(access=cast.access("cleo", experiment), experiment=experiment, reason=why)
    assert why in page(client, experiment)


def test_an_arm_that_a_terminator_ended_says_so_while_others_go_on(client: Client) -> None:
    cast.project()
    experiment = cast.search()
    study = Study.objects.get(experiment=experiment, arm_index=1)
    assert "arm B ended" not in page(client, experiment)
    stop_rules.end_arm(study_id=study.pk, why="little left to gain after 20 trials")
    text = page(client, experiment)
    assert "arm B ended" in text and "little left to gain after 20 trials" in text


def test_the_page_shows_what_the_rules_say_of_the_design(client: Client) -> None:
    cast.project()
    source = cast.LABEL_SMOOTHING.format(name="unfair", goal="Is it fair?", trials=3).replace(
        "learning_rate:   {role: nuisance, low: 1.0e-4, high: 1.0e-1, log: true}",
        "learning_rate:   {role: fixed, value: 0.001}",
    )
    experiment = cast.search(source=source)
    client.force_login(cast.person("ben"))
    text = client.get(cast.address(experiment)).content.decode()
    assert "Unfair comparison: everything of the optimizer is fixed" in text
    assert "Rule R2." in text


def test_the_page_names_code_and_data_of_each_arm(client: Client) -> None:
    cast.project()
    source = cast.LABEL_SMOOTHING.format(name="data", goal="Do labels help?", trials=3) + (
        "arms:\n  before: {}\n  relabelled: {commit: 4f1c2e9, data: {name: digits, version: 2}}\n"
    )
    experiment = cast.search(source=source)
    client.force_login(cast.person("ben"))
    text = client.get(cast.address(experiment)).content.decode()
    assert "relabelled, label_smoothing = 0.1" in text
    assert "4f1c2e9" in text and "digits · 2" in text and "as the worker has it" in text


def test_a_search_paused_for_its_first_trials_shows_the_error_and_what_to_do(
    client: Client,
) -> None:
    cast.project()
    experiment = cast.failing_search()
    text = page(client, experiment)
    assert "Paused: the first 3 trials failed with the same error" in text
    assert "FileNotFoundError: /data/digits/2.npz" in text and "opens shard 2" in text
    assert '<span class="chip bad">failed, paused</span>' in text
    assert text.count("Resume anyway") == 2 and "follow=clone" in text
    assert "Resume anyway</button>" not in page(client, experiment, name="ben")


def test_edit_of_a_failed_search_opens_its_file_under_a_free_name(client: Client) -> None:
    cast.project()
    experiment = cast.failing_search()
    client.force_login(cast.person("cleo"))
    address = f"/projects/digits/experiments/new/?extends={experiment.name}&follow=clone"
    text = client.get(address).content.decode()
    assert "width-2" in text and "learning_rate" in text


def test_question_state_and_next_step_stand_before_runs_findings_and_the_drawer(
    client: Client,
) -> None:
    cast.project()
    experiment = cast.finished_search(trials_per_arm=6)
    cast.some_findings(experiment)
    text = page(client, experiment)
    order = [
        experiment.goal,
        'aria-label="Next step"',
        'class="facts"',
        'id="trials"',
        'aria-label="Charts"',
        'id="findings"',
        "data-drawer",
        'id="checklist"',
        'id="space"',
    ]
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    assert text.count("btn primary") == 1, "one next step"
    assert text.count("data-pick ") == 10, "the first rows; the others a page further"


def head(client: Client, experiment: Experiment) -> str:
    return page(client, experiment).partition('class="goal"')[0].replace("\n", "")


def test_a_state_says_what_is_true_now(client: Client) -> None:
    cast.project()
    experiment = cast.running_search(done=6, trials_per_arm=8)
    assert '<span class="chip live">running</span><span class="small">2 running now<' in head(
        client, experiment
    )
    access = cast.access("cleo", experiment)
    experiments.pause(access=access, experiment=experiment)
    assert '<span class="chip warn">paused</span><span class="small">by cleo<' in head(
        client, experiment
    )
    assert "by cleo" in client.get("/projects/digits/").content.decode()
    experiments.resume(access=access, experiment=experiment)
    experiment.refresh_from_db()
    assert experiment.stop_reason == ""
    finished = cast.finished_search("done", trials_per_arm=2)
    assert '<span class="small">not decided<' in head(client, finished)


def test_the_banner_says_why_nothing_starts(client: Client) -> None:
    cast.project()
    experiment = cast.search()
    text = page(client, experiment)
    banner = text[text.index('<section class="card next warning"') :].partition("</section>")[0]
    assert "Waits for a worker" in banner and "See the workers" in banner
    assert text.count("Waits for a worker") == 2, "beside the state, too"
