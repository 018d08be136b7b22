"""Claim the next trial of a queue: compare-and-set, with an attempt number that fences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import connection
from django.utils import timezone

from experiments.models import Experiment
from experiments.models.trial import Origin, TrialState
from experiments.models.trial_rows import COLUMNS, TrialRow, from_columns
from experiments.trials.lifecycle.queries import gpu_hours
from experiments.trials.lifecycle.services import scheduling, stop_rules, trials
from experiments.trials.lifecycle.services.scheduling import Capacity
from experiments.trials.lifecycle.services.statements import (
    Statement,
    asynchronous_commit,
    execute_batch,
    wait_for_disk,
)
from experiments.trials.lifecycle.training_seeds import row_seed

_TAKE = f"""
UPDATE experiments_trial SET
    state = {TrialState.RUNNING:d}, attempt = attempt + 1, worker_id = %s, device = %s,
    heartbeat_at = %s, started_at = %s, control = '', latest_value = NULL, latest_step = NULL
WHERE id = %s AND state = {TrialState.WAITING:d}
RETURNING {COLUMNS}, configuration_id
"""
_TURN = "UPDATE experiments_experiment SET claimed_at = %s WHERE id = %s"

# Given the GPUs that a trial asks for: the device that is kept free for it, "cpu" for none, or
# None when there is no room.
Allocate = Callable[[int], str | None]


@dataclass(frozen=True, slots=True)
class Claim:
    """A trial that one worker holds, with the attempt number that fences its writes.

    `row` is the trial as it was stored then; `configuration_id` names what it is to run where
    that was fixed beforehand: a replicate's, or the one of an earlier attempt.
    """

    experiment_id: int
    row: TrialRow
    configuration_id: int | None = None

    @property
    def trial_id(self) -> int:
        return self.row.id

    @property
    def study_id(self) -> int:
        return self.row.study_id

    @property
    def number(self) -> int:
        return self.row.number

    @property
    def attempt(self) -> int:
        return self.row.attempt


def claim(
    *, queue: str, worker_id: int | None, device: str = "cpu", allocate: Allocate | None = None
) -> Claim | None:
    """Claim the next trial of a queue, in the order of `scheduling.candidates`.

    Args:
        device: device to record, where there is no `allocate` to choose one.
        allocate: reserves so many GPUs for the trial and returns their name; None when too few
            are free. Called once an experiment has a trial to run.

    Returns:
        None when no trial is due, or no device is free for it.
    """
    for experiment_id in scheduling.candidates(queue):
        with asynchronous_commit():  # others wait for the experiment, not for the disk
            capacity = scheduling.capacity(experiment_id, lock=True)
            if (
                capacity is None
                or capacity.free < 1
                or not _open(capacity)
                or _is_held_back(capacity)
            ):
                continue
            where = allocate(capacity.gpus) if allocate is not None else device
            if where is None:
                continue
            claimed = _claim_waiting(capacity, worker_id, where) or _claim_row(
                capacity, worker_id, where
            )
        if claimed is not None:
            wait_for_disk()
            return claimed
    return None


def claimable(queue: str, *, most_gpus: int | None = None) -> int:
    """Number of a queue's trials that could start now: for workers that poll the database.

    `most_gpus`: leaves out experiments whose trials ask for more GPUs than a node has.
    """
    return sum(
        min(capacity.free, _open(capacity))
        for capacity in _capacities(queue)
        if (most_gpus is None or capacity.gpus <= most_gpus)
        and capacity.free > 0
        and not _is_held_back(capacity)
    )


def _capacities(queue: str) -> Iterator[Capacity]:
    for experiment_id in scheduling.candidates(queue):
        capacity = scheduling.capacity(experiment_id)
        if capacity is not None:
            yield capacity


def _is_held_back(capacity: Capacity) -> bool:
    """Test whether a cap on GPU hours holds back its trials."""
    if not capacity.gpus:
        return False
    return bool(gpu_hours.why_held_back(Experiment.objects.get(pk=capacity.experiment_id)))


def _open(capacity: Capacity) -> int:
    """Number of its trials that wait or are still to be drawn."""
    return capacity.waiting + (capacity.rows if _may_draw(capacity) else 0)


def _may_draw(capacity: Capacity) -> bool:
    return capacity.rows > 0 and stop_rules.may_start(capacity.experiment_id, capacity.document)


def _claim_waiting(capacity: Capacity, worker_id: int | None, device: str) -> Claim | None:
    if capacity.waiting_id is None:
        return None
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    found = execute_batch(
        _count_claim(capacity, now), (_TAKE, [worker_id, device, now, now, capacity.waiting_id])
    )
    if found is None:
        return None
    return Claim(capacity.experiment_id, from_columns(found[:-1]), found[-1])


def _claim_row(capacity: Capacity, worker_id: int | None, device: str) -> Claim | None:
    if capacity.study_id is None or capacity.row is None or not _may_draw(capacity):
        return None
    now = timezone.now()
    # The experiment's row is locked, so the counter cannot move before the row is taken.
    made = trials.create_claimed(
        study_id=capacity.study_id,
        also=_count_claim(capacity, connection.ops.adapt_datetimefield_value(now)),
        state=TrialState.RUNNING,
        origin=Origin.SAMPLER,
        train_seed=row_seed(capacity.seed, capacity.row),
        split_seed=capacity.split_seed,
        search_seed=capacity.seed,
        worker_id=worker_id,
        attempt=1,
        device=device,
        started_at=now,
        heartbeat_at=now,
    )
    return Claim(capacity.experiment_id, made)


def _count_claim(capacity: Capacity, now: object) -> Statement:
    """Record the time of the claim, by which scheduling takes turns."""
    return _TURN, [now, capacity.experiment_id]
