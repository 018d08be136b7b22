from __future__ import annotations

import datetime as dt
import json

import pytest
from django.utils import timezone
from optuna.distributions import FloatDistribution

from experiments.errors import TrialFenced
from experiments.models import Experiment, Trial
from experiments.models.trial import Origin, TrialState
from experiments.trials.lifecycle.queries import trial_spec
from experiments.trials.lifecycle.services import experiments, queue, trials, workers
from experiments.trials.table.queries.reproduce import line_of
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def search() -> Experiment:
    """Two arms of three rows, three trials at a time."""
    cast.project()
    experiment = cast.search("queued", trials_per_arm=3)
    Experiment.objects.filter(pk=experiment.pk).update(parallel=3)
    return experiment


def _claim() -> queue.Claim:
    claim = queue.claim(queue="cpu", worker_id=None)
    assert claim is not None
    return claim


def _finish(claim: queue.Claim, value: float = 0.9) -> None:
    trials.finish(
        trial_id=claim.trial_id,
        state=TrialState.COMPLETE,
        values=[value],
        attempt=claim.attempt,
    )


def test_known_good_configurations_run_first_and_take_no_row() -> None:
    cast.project()
    text = cast.LABEL_SMOOTHING.format(name="known", goal="Any better?", trials=3)
    known = "first: [{learning_rate: 0.001, dropout: 0.2, hidden_units: 128}]\n"
    search = cast.search(source=text + known)
    Experiment.objects.filter(pk=search.pk).update(parallel=3)
    firsts = Trial.objects.filter(study__experiment=search, origin=Origin.FIRST)
    assert firsts.count() == 2
    claimed = [Trial.objects.get(pk=_claim().trial_id) for _ in range(firsts.count())]
    assert {trial.origin for trial in claimed} == {Origin.FIRST}
    assert {trial.row for trial in claimed} == {None}


def test_arms_share_rows_and_their_training_seeds(search: Experiment) -> None:
    Experiment.objects.filter(pk=search.pk).update(parallel=100)
    while queue.claim(queue="cpu", worker_id=None):
        pass
    rows: dict[int, list[int]] = {0: [], 1: []}
    seeds: dict[int, set[int | None]] = {}
    for trial in Trial.objects.filter(origin=Origin.SAMPLER).select_related("study"):
        assert trial.row is not None
        rows[trial.study.arm_index].append(trial.row)
        seeds.setdefault(trial.row, set()).add(trial.train_seed)
    assert sorted(rows[0]) == sorted(rows[1]) == [0, 1, 2]
    assert all(len(of_row) == 1 for of_row in seeds.values())


def test_no_more_trials_run_at_once_than_the_experiment_allows(search: Experiment) -> None:
    claims = [_claim() for _ in range(3)]
    assert queue.claim(queue="cpu", worker_id=None) is None
    _finish(claims[0])
    assert queue.claim(queue="cpu", worker_id=None) is not None


def test_other_queues_and_paused_experiments_are_left_alone(search: Experiment) -> None:
    assert queue.claim(queue="gpu", worker_id=None) is None
    experiments.pause(access=cast.access(search.created_by, search), experiment=search)
    assert queue.claim(queue="cpu", worker_id=None) is None
    experiments.resume(access=cast.access(search.created_by, search), experiment=search)
    assert queue.claim(queue="cpu", worker_id=None) is not None


def test_the_experiment_with_fewest_running_trials_goes_first(search: Experiment) -> None:
    other = cast.search("other", trials_per_arm=3)
    Experiment.objects.filter(pk=other.pk).update(parallel=3)
    claimed = [_claim().experiment_id for _ in range(4)]
    assert sorted(claimed) == sorted([search.pk, other.pk] * 2)


def test_priority_goes_before_fairness(search: Experiment) -> None:
    other = cast.search("urgent", trials_per_arm=3)
    Experiment.objects.filter(pk=other.pk).update(parallel=2, priority=1)
    assert [_claim().experiment_id for _ in range(3)] == [other.pk, other.pk, search.pk]


def test_an_experiment_is_finished_when_its_budget_is_used(search: Experiment) -> None:
    while claim := queue.claim(queue="cpu", worker_id=None):
        _finish(claim)
        experiments.advance(search.pk)
    search.refresh_from_db()
    assert (search.state, search.stop_reason) == ("finished", "all trials done")
    assert search.trial_count == search.budget


def test_a_trial_handed_back_keeps_its_number_row_and_seeds(search: Experiment) -> None:
    claim = _claim()
    before = Trial.objects.get(pk=claim.trial_id)
    assert queue.hand_back(trial_id=claim.trial_id, attempt=claim.attempt)
    again = _claim()
    after = Trial.objects.get(pk=again.trial_id)
    assert (again.trial_id, again.attempt) == (claim.trial_id, 2)
    assert (after.number, after.row, after.train_seed) == (
        before.number,
        before.row,
        before.train_seed,
    )


def test_a_worker_thought_dead_that_returns_changes_nothing(search: Experiment) -> None:
    old = _claim()
    queue.hand_back(trial_id=old.trial_id, attempt=old.attempt)
    new = _claim()
    assert new.trial_id == old.trial_id
    with pytest.raises(TrialFenced):
        _finish(old, 0.1)
    assert queue.heartbeat(trial_id=old.trial_id, attempt=old.attempt) is None
    assert not queue.hand_back(trial_id=old.trial_id, attempt=old.attempt)
    _finish(new, 0.9)
    assert Trial.objects.get(pk=new.trial_id).value == 0.9


def test_a_trial_without_a_heartbeat_goes_back_to_the_queue(search: Experiment) -> None:
    stale, alive = _claim(), _claim()
    long_ago = timezone.now() - dt.timedelta(minutes=5)
    Trial.objects.filter(pk=stale.trial_id).update(heartbeat_at=long_ago)
    assert queue.reap(stale_after=dt.timedelta(minutes=1)) == [stale.trial_id]
    trial = Trial.objects.get(pk=stale.trial_id)
    assert trial.state == TrialState.WAITING and "sent no heartbeat" in trial.failure_reason
    assert Trial.objects.get(pk=alive.trial_id).state == TrialState.RUNNING


def test_a_trial_that_dies_too_often_is_failed_with_the_reason(search: Experiment) -> None:
    for _ in range(3):
        handed = _claim()  # which costs nothing of the retry budget
        queue.hand_back(trial_id=handed.trial_id, attempt=handed.attempt)
        claim = _claim()
        assert claim.trial_id == handed.trial_id
        queue.keep_log_tail(trial_id=claim.trial_id, attempt=claim.attempt, text="step 7")
        queue.fail_attempt(
            trial_id=claim.trial_id, attempt=claim.attempt, reason="killed by signal 9"
        )
    trial = Trial.objects.get(pk=claim.trial_id)
    assert (trial.state, trial.failure_kind) == (TrialState.FAILED, "lost")
    assert trial.failure_reason == "killed by signal 9 (its process or worker died 3 times)"
    assert (trial.attempt, trial.losses, trial.log_tail) == (6, 2, "step 7")
    search.refresh_from_db()
    assert (search.trial_count, search.failed_count) == (1, 1)


def test_the_reason_of_a_lost_trial_names_its_worker(search: Experiment) -> None:
    worker_id = workers.register(
        name="node-7", host="h", pid=1, queues=["cpu"], slots=1, devices=["cpu"]
    )
    claim = queue.claim(queue="cpu", worker_id=worker_id)
    assert claim is not None
    Trial.objects.update(heartbeat_at=timezone.now() - dt.timedelta(minutes=5))
    queue.reap(stale_after=dt.timedelta(minutes=1))
    reason = Trial.objects.get(pk=claim.trial_id).failure_reason
    assert reason == "its worker node-7 sent no heartbeat for 60 s"


@pytest.mark.parametrize("control", ["cancel", "stop"])
def test_a_trial_that_was_asked_to_end_ends_when_its_worker_dies(
    search: Experiment, control: str
) -> None:
    claim = _claim()
    Trial.objects.update(control=control)
    queue.fail_attempt(trial_id=claim.trial_id, attempt=claim.attempt, reason="killed by signal 9")
    trial = Trial.objects.get(pk=claim.trial_id)
    assert (trial.state, trial.failure_kind) == (TrialState.FAILED, "cancelled")
    assert trial.failure_reason.endswith("after killed by signal 9")
    search.refresh_from_db()
    assert search.failed_count == 1


def test_experiments_of_one_slot_take_turns(search: Experiment) -> None:
    other = cast.search("other", trials_per_arm=3)
    claimed = []
    for _ in range(6):
        claim = _claim()
        claimed.append(claim.experiment_id)
        _finish(claim)
    assert claimed == [search.pk, other.pk] * 3


def test_a_trial_of_many_gpus_counts_for_as_many_in_the_share(search: Experiment) -> None:
    other = cast.search("large", trials_per_arm=3)
    Experiment.objects.filter(pk=other.pk).update(parallel=3, gpus=3)
    claimed = [_claim().experiment_id for _ in range(4)]
    assert sorted(claimed[:2]) == sorted([search.pk, other.pk])
    assert claimed[2:] == [search.pk] * 2


def test_who_finds_no_room_is_passed_over_and_keeps_its_turn(search: Experiment) -> None:
    large = cast.search("large", trials_per_arm=3)
    Experiment.objects.filter(pk=large.pk).update(gpus=4, priority=1)
    asked: list[int] = []

    def allocate(gpus: int) -> str | None:
        asked.append(gpus)
        return "cpu" if not gpus else None

    claim = queue.claim(queue="cpu", worker_id=None, allocate=allocate)
    assert claim is not None and claim.experiment_id == search.pk
    assert asked == [4, 0]
    assert queue.claimable("cpu", most_gpus=2) == 2


def test_room_is_asked_for_only_when_there_is_a_trial(search: Experiment) -> None:
    Experiment.objects.filter(pk=search.pk).update(parallel=100)
    while queue.claim(queue="cpu", worker_id=None):
        pass
    assert Experiment.objects.get().state == "running"

    def allocate(gpus: int) -> str | None:
        raise AssertionError("nothing is left to run")

    assert queue.claim(queue="cpu", worker_id=None, allocate=allocate) is None


def test_a_trial_asked_from_outside_is_never_reaped(search: Experiment) -> None:
    study = search.studies.first()
    assert study is not None
    trial_id, _ = trials.create(study_id=study.pk, state=TrialState.RUNNING)
    assert queue.reap(stale_after=dt.timedelta(0)) == []
    assert Trial.objects.get(pk=trial_id).state == TrialState.RUNNING


def test_stopping_asks_running_trials_to_end_and_starts_no_more(search: Experiment) -> None:
    claim = _claim()
    experiments.stop(access=cast.access(search.created_by, search), experiment=search)
    assert queue.heartbeat(trial_id=claim.trial_id, attempt=claim.attempt) == "stop"
    assert queue.claim(queue="cpu", worker_id=None) is None


def test_claimable_counts_what_could_start_now(search: Experiment) -> None:
    assert queue.claimable("cpu") == 3
    _claim()
    assert queue.claimable("cpu") == 2


UNIT = FloatDistribution(0.0, 1.0)
DRAWN = {"learning_rate": (0.01, UNIT), "dropout": (0.25, UNIT)}


def _begin(claim: queue.Claim) -> int:
    return queue.begin(
        claim=claim,
        parameters={name: value for name, (value, _) in DRAWN.items()},
        objective="workers.problems.digits:train",
        commit="",
        environment={"host": "node-7"},
        drawn=DRAWN,
    )


def test_what_was_drawn_is_stored_with_what_runs_and_where(search: Experiment) -> None:
    first, second = _claim(), _claim()
    held = [_begin(first), _begin(second)]
    assert held[0] == held[1], "the same parameters are the same configuration"
    for claim in (first, second):
        trial = Trial.objects.get(pk=claim.trial_id)
        assert trial.configuration_id == held[0] and trial.environment is not None
        assert json.loads(trial.parameters) == {"learning_rate": 0.01, "dropout": 0.25}
        assert list(json.loads(trial.distributions)) == list(DRAWN)
        assert json.loads(trial.environment.document) == {"host": "node-7"}


def test_what_a_trial_was_given_meanwhile_stays_beside_what_was_drawn(search: Experiment) -> None:
    claim = _claim()
    trials.set_parameter(trial_id=claim.trial_id, name="noise", parameter=(0.1, UNIT))
    _begin(claim)
    stored = json.loads(Trial.objects.get(pk=claim.trial_id).parameters)
    assert stored == {"noise": 0.1, "learning_rate": 0.01, "dropout": 0.25}


def test_an_attempt_that_was_taken_over_begins_nothing(search: Experiment) -> None:
    old = _claim()
    queue.hand_back(trial_id=old.trial_id, attempt=old.attempt)
    _claim()
    with pytest.raises(TrialFenced):
        _begin(old)
    trial = Trial.objects.get(pk=old.trial_id)
    assert (trial.parameters, trial.configuration_id, trial.environment_id) == ("{}", None, None)


CODE_AND_DATA = """
commit: {commit}
arms:
  before: {{data: {{name: digits, version: 1}}}}
  relabelled: {{data: {{name: digits, version: 2, checksum: "sha256:00"}}}}
"""


def test_code_and_data_of_an_arm_are_part_of_its_configuration_and_of_the_line_to_repeat_it() -> (
    None
):
    cast.project()
    text = cast.LABEL_SMOOTHING.format(name="data", goal="Do labels help?", trials=1)
    search = cast.search(source=text + CODE_AND_DATA.format(commit="4f1c2e9"))
    assert search.budget == 4
    Experiment.objects.filter(pk=search.pk).update(parallel=4)
    configurations = set()
    for _ in range(4):
        claim = _claim()
        assigned = trial_spec.read(claim.trial_id)
        assert assigned.runs.commit == "4f1c2e9" and assigned.arms_differ_in_data
        queue.begin(
            claim=claim,
            parameters={"learning_rate": 0.1},
            objective=assigned.objective,
            commit="4f1c2e9" + "0" * 33,
            environment={},
            data=assigned.runs.data,
        )
        trial = Trial.objects.get(pk=claim.trial_id)
        assert trial.configuration is not None
        document = json.loads(trial.configuration.document)
        configurations.add(trial.configuration.digest)
        assert document["data"] == assigned.runs.data
        assert document["data"]["version"] == ("1" if "before" in assigned.arm.label else "2")
        line = line_of(search, trial)
        assert f"git checkout --detach {'4f1c2e9' + '0' * 33} && " in line
        assert '"name":"digits"' in line and f'"version":"{document["data"]["version"]}"' in line
        assert "arm" not in assigned.arm.complete({})
    assert len(configurations) == 2  # the same parameters on other data are another configuration
