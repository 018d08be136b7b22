from __future__ import annotations

import datetime as dt
import json

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from experiments.models import Event, Experiment, MessageChoice, Study, Trial
from experiments.models.experiment import HAS_FAILED
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.queries import gpu_hours
from experiments.trials.lifecycle.services import experiments, queue, stop_rules, trials
from tests import cast

pytestmark = pytest.mark.django_db

TEXT = """
project: digits
experiment: width
goal: Is a wider network better?
objective: workers.problems.digits:train
search: {sampler: random, trials: 5, parallel: 9}
hyperparameters:
  hidden_units: {role: scientific, choices: [64, 256]}
  learning_rate: {role: nuisance, low: 1e-4, high: 1e-1, log: true}
"""


def _create(stop: str) -> Experiment:
    cast.project()
    return experiments.create(access=cast.access("cleo"), text=f"{TEXT}stop: {stop}\n")


def _claim(device: str = "cpu") -> queue.Claim | None:
    return queue.claim(queue="cpu", worker_id=None, device=device)


def _finish(
    claim: queue.Claim | None, state: TrialState = TrialState.COMPLETE, **more: object
) -> None:
    assert claim is not None
    values = [0.5] if state == TrialState.COMPLETE else None
    trials.finish(
        trial_id=claim.trial_id,
        state=state,
        values=values,
        attempt=claim.attempt,
        **more,  # type: ignore[arg-type]
    )
    experiments.advance(claim.experiment_id)


def _now() -> tuple[str, str]:
    experiment = Experiment.objects.get()
    return experiment.state, experiment.stop_reason


def test_no_trial_begins_beyond_the_number_and_those_that_run_are_let_finish() -> None:
    _create("{trials: 3}")
    claims = [_claim() for _ in range(4)]
    assert claims[3] is None and queue.claimable("cpu") == 0
    for claim in claims[:2]:
        _finish(claim)
    assert _now() == ("running", "")
    assert not Trial.objects.filter(control="stop").exists()
    _finish(claims[2])
    assert _now() == ("stopped", "ran 3 trials, as many as its file allows")


def test_gpu_hours_count_what_ran_and_what_runs_on_a_gpu_only() -> None:
    experiment = _create("{gpu_hours: 1}")
    for device, minutes in (("cuda:0", 30), ("cpu", 150)):
        claim = _claim(device)
        assert claim is not None
        _finish(claim, seconds=1.0)  # of training; the GPU was held from the claim on
        finished = Trial.objects.get(pk=claim.trial_id).finished_at or timezone.now()
        Trial.objects.filter(pk=claim.trial_id).update(
            started_at=finished - dt.timedelta(minutes=minutes)
        )
    running = _claim("cuda:1")
    assert running is not None
    assert gpu_hours.of_search(experiment) == pytest.approx(0.5, abs=0.01)
    experiments.advance(experiment.pk)
    assert _now() == ("running", "")
    Trial.objects.filter(pk=running.trial_id).update(
        started_at=timezone.now() - dt.timedelta(minutes=31)
    )
    experiments.advance(experiment.pk)
    assert _now() == ("stopped", "used 1 GPU hours")
    assert Trial.objects.get(pk=running.trial_id).control == "stop"


def test_gpu_hours_of_lost_and_handed_back_attempts_are_spent() -> None:
    experiment = _create("{gpu_hours: 1}")
    now = timezone.now()
    for device, reason in (
        ("cuda:0", "its worker sent no heartbeat"),
        ("cuda:1", ""),
        ("cpu", ""),
    ):
        claim = _claim(device)
        assert claim is not None
        Trial.objects.filter(pk=claim.trial_id).update(
            started_at=now - dt.timedelta(minutes=50), heartbeat_at=now - dt.timedelta(minutes=35)
        )
        assert queue.hand_back(trial_id=claim.trial_id, attempt=claim.attempt, reason=reason)
        # The same trial waits again and is claimed by the next one.
    assert gpu_hours.of_search(experiment) == pytest.approx(0.5, abs=0.01)
    _finish(_claim("cuda:0"), seconds=1.0)
    assert gpu_hours.of_search(experiment) == pytest.approx(0.5, abs=0.01)


def test_time_is_up_also_while_no_trial_ends() -> None:
    _create("{minutes: 10}")
    experiments.stop_overdue()
    assert _now() == ("running", "")
    Experiment.objects.update(created_at=timezone.now() - dt.timedelta(minutes=11))
    experiments.stop_overdue()
    assert _now() == ("stopped", "ran for 10 minutes")


def test_trials_that_all_failed_are_no_improvement_either() -> None:
    _create("{no_improvement_for: 2}")
    _finish(_claim(), TrialState.FAILED)
    assert _now() == ("running", "")
    _finish(_claim(), TrialState.FAILED)
    assert _now() == ("stopped", "no improvement for 2 trials")


def test_an_arm_that_ended_begins_nothing_and_the_other_goes_on() -> None:
    experiment = _create("{trials: 100}")
    first, second = Study.objects.filter(experiment=experiment).order_by("arm_index")
    running = _claim()
    stop_rules.end_arm(study_id=first.pk, why="Optuna's terminator: enough")
    _finish(running)
    while (claim := _claim()) is not None:
        assert claim.study_id == second.pk
        _finish(claim)
    assert Trial.objects.filter(study=second).count() == 5
    assert _now() == ("stopped", "Optuna's terminator: enough in 1 of 2 arms")


def test_a_search_without_rules_finishes_when_its_budget_is_used() -> None:
    _create("{}")
    while (claim := _claim()) is not None:
        _finish(claim)
    assert _now() == ("finished", "all trials done")


def test_a_search_that_its_terminator_did_not_end_says_why_when_its_budget_is_used() -> None:
    _create("{}")
    while (claim := _claim()) is not None:
        stop_rules.record_outlook(study_id=claim.study_id, why="emmr saw 0.4 left to gain")
        _finish(claim)
    assert _now() == ("finished", "all trials done; emmr saw 0.4 left to gain")


TWO = "{sampler: random, trials: 20, parallel: 2}"


def _search(search: str = "{sampler: random, trials: 20, parallel: 1}") -> Experiment:
    cast.project()
    text = TEXT.replace("{sampler: random, trials: 5, parallel: 9}", search)
    return experiments.create(access=cast.access("cleo"), text=text)


def _fail(message: str, kind: str = "exception") -> None:
    _finish(_claim(), TrialState.FAILED, failure_kind=kind, failure_reason=message)


def test_a_search_whose_first_three_trials_fail_alike_is_paused_and_called_failed() -> None:
    experiment = _search()
    for number in range(3):
        assert _now() == ("running", "")
        _fail(f"ValueError: <Net at 0x7f{number}a> got {number}.5e-{number} of -{number} rows")
    experiment.refresh_from_db()
    assert (experiment.state, experiment.failed_alike) == ("paused", 3)
    assert experiment.has_failed and Experiment.objects.filter(HAS_FAILED).exists()
    assert _claim() is None


def test_failures_with_different_causes_do_not_pause_a_search() -> None:
    _search()
    for message in ("KeyError: 'width'", "KeyError: 'depth'", "KeyError: 'width'"):
        _fail(message)
    _fail("KeyError: 'width'")
    assert _now() == ("running", "")


def test_twice_as_many_failures_as_run_at_once_pause_a_search() -> None:
    _search("{sampler: random, trials: 20, parallel: 4}")
    for _ in range(7):
        _fail("ImportError: no torch")
    assert _now()[0] == "running"
    _fail("ImportError: no torch")
    assert _now()[0] == "paused"


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED])
def test_failures_after_a_trial_that_ran_never_pause_a_search(state: TrialState) -> None:
    experiment = _search()
    _finish(_claim(), state)
    for _ in range(6):
        _fail("OSError: the disk is full")
    experiment.refresh_from_db()
    assert experiment.state == "running" and not experiment.has_failed


def test_trials_without_a_finite_score_have_run_and_do_not_pause_a_search() -> None:
    _search()
    for _ in range(4):
        _fail("accuracy was not finite in 9 evaluations", "infeasible")
    assert _now()[0] == "running"


def test_a_cancelled_trial_counts_neither_for_nor_against_a_common_cause() -> None:
    _search()
    _fail("cancelled by ada", "cancelled")
    for _ in range(2):
        _fail("ImportError: no torch")
    assert _now()[0] == "running"
    _fail("ImportError: no torch")
    assert _now()[0] == "paused"


def test_a_search_that_was_resumed_all_the_same_is_not_paused_again() -> None:
    experiment = _search()
    for _ in range(3):
        _fail("ImportError: no torch")
    experiments.resume(access=cast.access("cleo"), experiment=experiment)
    for _ in range(5):
        _fail("ImportError: no torch")
    experiment.refresh_from_db()
    assert experiment.state == "running" and not experiment.has_failed


def test_a_pause_by_a_person_after_a_resume_is_not_the_one_for_failures() -> None:
    experiment = _search()
    for _ in range(3):
        _fail("ImportError: no torch")
    access = cast.access("cleo")
    experiments.resume(access=access, experiment=experiment)
    experiments.pause(access=access, experiment=experiment)
    experiment.refresh_from_db()
    assert experiment.state == "paused" and not experiment.has_failed
    assert not Experiment.objects.filter(HAS_FAILED).exists()
    experiments.resume(access=access, experiment=experiment)
    _fail("ImportError: no torch")
    assert _now()[0] == "running"


def test_a_trial_that_trains_well_keeps_its_search_from_the_pause_for_failures() -> None:
    _search(TWO)
    running = _claim()
    assert running is not None
    _log(running, 1)
    for _ in range(4):
        _fail("ImportError: no torch")
    assert _now()[0] == "running"
    _finish(running, TrialState.PRUNED)
    assert _now()[0] == "running", "one ran"


def test_a_running_trial_that_fails_alike_in_the_end_lets_its_search_be_paused() -> None:
    _search(TWO)
    running = _claim()
    assert running is not None
    _log(running, 1)
    for _ in range(4):
        _fail("ImportError: no torch")
    assert _now()[0] == "running"
    _finish(running, TrialState.FAILED, failure_kind="exception", failure_reason="disk full")
    assert _now()[0] == "paused"


@pytest.mark.parametrize(("step", "state"), [(3, "paused"), (4, "running")])
def test_trials_that_fail_at_one_step_pause_a_search_unless_another_got_beyond_it(
    step: int, state: str
) -> None:
    _search(TWO)
    running = _claim()
    assert running is not None
    _log(running, step)
    for _ in range(4):
        claim = _claim()
        assert claim is not None
        _log(claim, 3)
        _finish(claim, TrialState.FAILED, failure_kind="exception", failure_reason="no memory")
    assert _now()[0] == state


def _log(claim: queue.Claim, step: int) -> None:
    Trial.objects.filter(pk=claim.trial_id).update(latest_value=0.5, latest_step=step)


def test_the_team_is_told_once_of_a_search_that_failed_at_its_start() -> None:
    experiment = _search()
    ada = cast.person("ada")
    User.objects.filter(pk=ada.pk).update(email="ada@example.org")
    MessageChoice.objects.create(user=ada, project=experiment.project, events=["failed"])
    for _ in range(3):
        _fail("ImportError: no torch")
    event = Event.objects.get()
    text = json.loads(event.document)["text"]
    assert event.kind == "failed" and event.deliveries.count() == 1
    assert text == (
        "width failed: its first 3 trials ended with the same error, so the search is paused. "
        "ImportError: no torch"
    )


def test_a_search_that_ends_before_three_trials_without_a_complete_one_has_failed() -> None:
    experiment = _search("{sampler: random, trials: 1, parallel: 1}")
    _fail("ImportError: no torch")
    _fail("ImportError: no torch")
    experiment.refresh_from_db()
    assert experiment.state == "finished" and experiment.has_failed
