"""Claim the next trial of a queue: compare-and-set, with an attempt number that fences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import connection, transaction
from django.utils import timezone

from experiments.models import Experiment
from experiments.models.trial import Origin, TrialState
from experiments.models.trial_rows import COLUMNS, TrialRow, from_columns
from experiments.trials.lifecycle.queries import gpu_hours
from experiments.trials.lifecycle.services import scheduling, stop_rules, trials
from experiments.trials.lifecycle.services.scheduling import Capacity
from experiments.trials.lifecycle.services.statements import Statement, execute_batch
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
Place = Callable[[int], str | None]


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
    *, queue: str, worker_id: int | None, device: str = "cpu", place: Place | None = None
) -> Claim | None:
    """Claim the next trial of a queue, in the order of `scheduling.candidates`.

    Args:
        device: what the trial is to run on, where there is no `place` to find it.
        place: asked for room once there is a trial to run, by the experiment whose turn it is.

    Returns:
        None when nothing is to be done now, or there is no room for it.
    """
    for experiment_id in scheduling.candidates(queue):
        with transaction.atomic():
            offer = scheduling.offer(experiment_id, lock=True)
            if offer is None or offer.free < 1 or not _open(offer) or _is_held_back(offer):
                continue
            where = place(offer.gpus) if place is not None else device
            if where is None:
                continue
            claimed = _claim_waiting(offer, worker_id, where) or _claim_row(
                offer, worker_id, where
            )
            if claimed is not None:
                return claimed
    return None


def claimable(queue: str, *, most_gpus: int | None = None) -> int:
    """Number of a queue's trials that could start now: for workers that look for themselves.

    `most_gpus`: leaves out experiments whose trials ask for more GPUs than a node has.
    """
    return sum(
        min(offer.free, _open(offer))
        for offer in _offers(queue)
        if (most_gpus is None or offer.gpus <= most_gpus)
        and offer.free > 0
        and not _is_held_back(offer)
    )


def _offers(queue: str) -> Iterator[Capacity]:
    for experiment_id in scheduling.candidates(queue):
        offer = scheduling.offer(experiment_id)
        if offer is not None:
            yield offer


def _is_held_back(offer: Capacity) -> bool:
    """By a cap on GPU hours."""
    if not offer.gpus:
        return False
    return bool(gpu_hours.why_held_back(Experiment.objects.get(pk=offer.experiment_id)))


def _open(offer: Capacity) -> int:
    """Number of its trials that wait or are still to be drawn."""
    return offer.waiting + (offer.rows if _may_draw(offer) else 0)


def _may_draw(offer: Capacity) -> bool:
    return offer.rows > 0 and stop_rules.may_start(offer.experiment_id, offer.document)


def _claim_waiting(offer: Capacity, worker_id: int | None, device: str) -> Claim | None:
    if offer.waiting_id is None:
        return None
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    found = execute_batch(
        _turn(offer, now), (_TAKE, [worker_id, device, now, now, offer.waiting_id])
    )
    if found is None:
        return None
    return Claim(offer.experiment_id, from_columns(found[:-1]), found[-1])


def _claim_row(offer: Capacity, worker_id: int | None, device: str) -> Claim | None:
    if offer.study_id is None or offer.row is None or not _may_draw(offer):
        return None
    now = timezone.now()
    # The experiment's row is locked, so the counter cannot move before the row is taken.
    made = trials.create_claimed(
        study_id=offer.study_id,
        also=_turn(offer, connection.ops.adapt_datetimefield_value(now)),
        state=TrialState.RUNNING,
        origin=Origin.SAMPLER,
        train_seed=row_seed(offer.seed, offer.row),
        split_seed=offer.split_seed,
        search_seed=offer.seed,
        worker_id=worker_id,
        attempt=1,
        device=device,
        started_at=now,
        heartbeat_at=now,
    )
    return Claim(offer.experiment_id, made)


def _turn(offer: Capacity, now: object) -> Statement:
    """Note that the experiment was given something: others are next."""
    return _TURN, [now, offer.experiment_id]
