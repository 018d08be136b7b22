from __future__ import annotations

import pytest

from experiments.models import Experiment, Finding, Project, Trial, TrialReading
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.queries.runs import unread
from experiments.trials.lifecycle.services import runs
from experiments.trials.series.logged_points import LoggedPoints
from tests import cast
from workers.node import outside_runs

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return cast.project()


def a_run(project: Project, *, overfits: bool, end: bool = True) -> int:
    """A run whose validation loss turns in the middle, or does not."""
    made = runs.create(
        user=cast.person("cleo"),
        project=project,
        new=runs.NewRun(experiment="outside", params={"learning_rate": 0.1}),
    )
    calls = []
    for step in range(1, 61):
        turn = 0.02 * max(0, step - 25) if overfits else 0.0
        values = {
            "train_loss": 1.0 / step,
            "validation_loss": 0.2 + 1.0 / step + turn,
            "validation_accuracy": 0.9 - 0.5 / step - turn / 4,
        }
        calls.append((step, 1_700_000_000_000 + 1000 * step, values))
    logged = LoggedPoints(calls=calls, points=3 * len(calls))
    runs.log(run_id=made.run_id, official_metric="validation_accuracy", batch=0, logged=logged)
    if end:
        runs.finish(run_id=made.run_id, state="complete")
    return made.run_id


def test_a_run_from_outside_gets_the_findings_of_its_curves(project: Project) -> None:
    turned, sound = a_run(project, overfits=True), a_run(project, overfits=False)
    going_on = a_run(project, overfits=True, end=False)
    assert outside_runs.look() == 2
    found = Finding.objects.filter(rule="overfitting", status="fired")
    assert [each.trial_id for each in found] == [turned]
    assert not Finding.objects.filter(trial=going_on).exists()
    assert Finding.objects.filter(trial=sound).exists()


def test_each_run_is_read_once_the_oldest_first(project: Project) -> None:
    ids = [a_run(project, overfits=False) for _ in range(3)]
    assert [outside_runs.look(2), outside_runs.look(2), outside_runs.look(2)] == [2, 1, 0]
    read = TrialReading.objects.order_by("trial").values_list("trial_id", flat=True)
    assert list(read) == ids


def test_a_rule_that_breaks_costs_its_run_only_and_is_not_tried_for_ever(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = a_run(project, overfits=True), a_run(project, overfits=False)
    read = outside_runs.look_at_trial

    def breaks(run: object, *rest: object) -> bool:
        if getattr(run, "trial_id", 0) == broken:
            raise ZeroDivisionError
        return read(run, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(outside_runs, "look_at_trial", breaks)
    assert outside_runs.look() == 2
    assert unread(9) == []
    assert {each.trial_id for each in Finding.objects.all()} == {sound}


def test_trials_of_our_workers_are_left_to_them(project: Project) -> None:
    cast.finished_search(trials_per_arm=2)
    assert Trial.objects.filter(state=TrialState.COMPLETE).exists()
    assert Experiment.objects.exclude(sampler="outside").exists()
    assert unread(9) == []
