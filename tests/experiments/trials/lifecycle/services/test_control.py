from __future__ import annotations

import pytest

from experiments.errors import Conflict, InvalidExperiment, NotAllowed, NotFound, VerdictError
from experiments.models import Experiment, Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import added_trials, control, queue, trials
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def search() -> Experiment:
    """Two arms of three rows, three trials at a time."""
    cast.project()
    experiment = cast.search("queued", trials_per_arm=3)
    Experiment.objects.filter(pk=experiment.pk).update(parallel=3)
    return Experiment.objects.get()


def _claim() -> queue.Claim:
    claim = queue.claim(queue="cpu", worker_id=None)
    assert claim is not None
    return claim


def _fail(claim: queue.Claim, kind: str) -> None:
    trials.finish(
        trial_id=claim.trial_id,
        state=TrialState.FAILED,
        values=None,
        attempt=claim.attempt,
        failure_kind=kind,
    )


def _trial(claim: queue.Claim) -> Trial:
    return Trial.objects.get(pk=claim.trial_id)


def test_a_running_trial_is_asked_to_end_by_its_worker(search: Experiment) -> None:
    claim = _claim()
    control.cancel(access=cast.access("cleo", _trial(claim)), trial=_trial(claim))
    assert queue.heartbeat(trial_id=claim.trial_id, attempt=claim.attempt) == "cancel"
    assert _trial(claim).failure_reason == "cancelled by cleo"


def test_a_waiting_trial_ends_at_once_and_the_counters_know(search: Experiment) -> None:
    claim = _claim()
    queue.hand_back(trial_id=claim.trial_id, attempt=claim.attempt)
    control.cancel(access=cast.access("cleo", _trial(claim)), trial=_trial(claim))
    trial = _trial(claim)
    assert (trial.state, trial.failure_kind) == (TrialState.FAILED, "cancelled")
    search.refresh_from_db()
    assert search.failed_count == 1
    assert _claim().trial_id != claim.trial_id
    with pytest.raises(Conflict, match="ended already"):
        control.cancel(access=cast.access("cleo", trial), trial=trial)


def test_a_trial_of_a_program_outside_is_not_ours_to_cancel(search: Experiment) -> None:
    study = search.studies.first()
    assert study is not None
    trial_id, _ = trials.create(study_id=study.pk, state=TrialState.RUNNING)
    with pytest.raises(Conflict, match="no worker of ours"):
        control.cancel(
            access=cast.access("cleo", Trial.objects.get(pk=trial_id)),
            trial=Trial.objects.get(pk=trial_id),
        )


def test_a_pause_may_hand_running_trials_back(search: Experiment) -> None:
    claim = _claim()
    control.pause(access=cast.access("cleo", search), experiment=search, hand_back=True)
    assert queue.heartbeat(trial_id=claim.trial_id, attempt=claim.attempt) == "back"
    queue.hand_back(trial_id=claim.trial_id, attempt=claim.attempt)
    assert queue.claim(queue="cpu", worker_id=None) is None
    control.resume(access=cast.access("cleo", search), experiment=search)
    again = _claim()
    assert (again.trial_id, again.attempt) == (claim.trial_id, 2)
    assert queue.heartbeat(trial_id=again.trial_id, attempt=again.attempt) == ""


def test_who_was_not_handed_back_before_the_pause_ends_goes_on(search: Experiment) -> None:
    claim = _claim()
    control.pause(access=cast.access("cleo", search), experiment=search, hand_back=True)
    control.resume(access=cast.access("cleo", search), experiment=search)
    assert queue.heartbeat(trial_id=claim.trial_id, attempt=claim.attempt) == ""


def test_a_usual_pause_lets_running_trials_go_on(search: Experiment) -> None:
    claim = _claim()
    control.pause(access=cast.access("cleo", search), experiment=search)
    assert queue.heartbeat(trial_id=claim.trial_id, attempt=claim.attempt) == ""


def test_accidents_are_tried_again_once_with_row_and_seeds(search: Experiment) -> None:
    claims = [_claim() for _ in range(3)]
    for claim, kind in zip(claims, ("exception", "infeasible", "cancelled"), strict=True):
        _fail(claim, kind)
    lost = _claim()
    _fail(lost, "lost")
    assert control.retry_failed(access=cast.access("cleo", search), experiment=search) == 2
    for claim in (claims[0], lost):
        failed = _trial(claim)
        again = Trial.objects.get(retry_of=failed)
        assert again.number != failed.number
        assert (again.row, again.train_seed) == (failed.row, failed.train_seed)
    with pytest.raises(Conflict, match="queued has no failed trials"):
        control.retry_failed(access=cast.access("cleo", search), experiment=search)


def test_parallelism_and_priority_change_while_it_runs(search: Experiment) -> None:
    [_claim() for _ in range(3)]
    assert queue.claim(queue="cpu", worker_id=None) is None
    control.change(access=cast.access("cleo", search), experiment=search, parallel=4, priority=7)
    assert _claim().experiment_id == search.pk
    control.change(access=cast.access("cleo", search), experiment=search, parallel=1)
    assert queue.claim(queue="cpu", worker_id=None) is None
    search.refresh_from_db()
    assert (search.parallel, search.priority, search.gpu_hours_cap) == (1, 7, None)


def test_a_cap_is_set_kept_and_taken_away(search: Experiment) -> None:
    caps = []
    for more in ({"gpu_hours": 2.5}, {"priority": 1}, {"gpu_hours": None}):
        control.change(access=cast.access("cleo", search), experiment=search, **more)
        search.refresh_from_db()
        caps.append(search.gpu_hours_cap)
    assert caps == [2.5, 2.5, None]


def test_every_value_out_of_bounds_is_named(search: Experiment) -> None:
    with pytest.raises(VerdictError) as raised:
        control.change(
            access=cast.access("cleo", search),
            experiment=search,
            parallel=0,
            priority=5000,
            gpu_hours=float("nan"),
        )
    assert [problem.where for problem in raised.value.problems] == [
        "parallel",
        "priority",
        "gpu_hours",
    ]


def test_the_budget_shrinks_to_what_has_begun_and_grows_again(search: Experiment) -> None:
    ada = cast.person("ada")
    assert search.budget == 6
    claims = [_claim() for _ in range(3)]  # rows 0, 0, 1 of the two arms
    assert control.set_budget(access=cast.access(ada, search), experiment=search, per_arm=1) == -3
    search.refresh_from_db()
    assert search.budget == 3
    assert queue.claim(queue="cpu", worker_id=None) is None
    with pytest.raises(Conflict):
        control.set_budget(access=cast.access(ada, search), experiment=search, per_arm=1)
    assert control.set_budget(access=cast.access(ada, search), experiment=search, per_arm=2) == 1
    for claim in claims:
        _fail(claim, "exception")
    assert _claim().experiment_id == search.pk


def test_a_budget_that_is_used_by_shrinking_ends_the_search(search: Experiment) -> None:
    for _ in range(2):
        claim = _claim()
        trials.finish(trial_id=claim.trial_id, state=1, values=[0.5], attempt=claim.attempt)
    control.set_budget(access=cast.access("ada", search), experiment=search, per_arm=1)
    search.refresh_from_db()
    assert (search.state, search.budget) == ("finished", 2)
    with pytest.raises(Conflict, match="ended already"):
        Experiment.objects.update(state="stopped")
        search.studies.update(budget=5)
        control.set_budget(access=cast.access("ada", search), experiment=search, per_arm=3)


def test_a_budget_of_nothing_is_refused(search: Experiment) -> None:
    with pytest.raises(InvalidExperiment):
        control.set_budget(access=cast.access("ada", search), experiment=search, per_arm=0)


@pytest.mark.parametrize(("who", "error"), [("ben", NotAllowed), ("dan", NotFound)])
def test_only_editors_control(search: Experiment, who: str, error: type[Exception]) -> None:
    person, trial = cast.person(who), _trial(_claim())
    for call in (
        lambda: control.cancel(access=cast.access(person, trial), trial=trial),
        lambda: control.pause(
            access=cast.access(person, search), experiment=search, hand_back=True
        ),
        lambda: control.resume(access=cast.access(person, search), experiment=search),
        lambda: control.retry_failed(access=cast.access(person, search), experiment=search),
        lambda: control.change(access=cast.access(person, search), experiment=search, parallel=2),
        lambda: control.set_budget(
            access=cast.access(person, search), experiment=search, per_arm=1
        ),
    ):
        with pytest.raises(error):
            call()


def test_a_retry_of_one_trial_stays_possible_after_all_others(search: Experiment) -> None:
    claim = _claim()
    _fail(claim, "cancelled")
    assert added_trials.retry(access=cast.access("cleo", _trial(claim)), trial=_trial(claim))
