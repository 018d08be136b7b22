"""Append flushes of points, join them into few rows, and seal test scores."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from experiments.models import SealedScore, SeriesBatch, Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services.attempts import require_attempt
from experiments.trials.lifecycle.services.statements import Statement, execute_batch, locking
from experiments.trials.series.lineage import Resumption, with_lower_budget, with_resumption
from experiments.trials.series.series_encoding import Call, encode, join, raw_bytes
from experiments.trials.series.services.metric_summaries import latest_statement

ROW_POINTS = 200_000  # of a joined row: some 1.3 MB, decoded in a few ms
HEARD_EVERY = dt.timedelta(seconds=5)
ROW_RAW_BYTES = 16 * 2**20  # far below what a reader accepts

_COLUMNS = (
    "trial_id, attempt, batch, joined, payload, points, first_step, last_step, fenced, written_at"
)
_IS_NEW = """
NOT EXISTS (
    SELECT 1 FROM experiments_seriesbatch
    WHERE trial_id = %s AND attempt = %s AND batch >= %s AND batch - joined < %s
)
"""
_INSERT = f"""
INSERT INTO experiments_seriesbatch ({_COLUMNS})
SELECT %s, %s, %s, 1, %s, %s, %s, %s, %s, %s WHERE {_IS_NEW}
"""
# One flush of one attempt; the trial itself says whether that attempt holds it.
_HOLDS = f"t.attempt = %s AND t.state = {TrialState.RUNNING:d}"
_SHOW_ONE = f"""
UPDATE experiments_trial AS t SET latest_step = %s, latest_value = COALESCE(%s, t.latest_value)
WHERE t.id = %s AND {_HOLDS} AND {_IS_NEW}
"""
_HEARD_ONE = f"""
UPDATE experiments_trial AS t SET heartbeat_at = %s
WHERE t.id = %s AND {_HOLDS} AND (t.heartbeat_at IS NULL OR t.heartbeat_at <= %s)
"""
_INSERT_ONE = f"""
INSERT INTO experiments_seriesbatch ({_COLUMNS})
SELECT t.id, %s, %s, 1, %s, %s, %s, %s, NOT ({_HOLDS}), %s FROM experiments_trial t
WHERE t.id = %s AND {_IS_NEW}
RETURNING fenced
"""
_NEXT = """
(SELECT COALESCE(MAX(batch), -1) + 1 FROM experiments_seriesbatch
 WHERE trial_id = t.id AND attempt = t.attempt)
"""
_INSERT_NEXT = f"""
INSERT INTO experiments_seriesbatch ({_COLUMNS})
SELECT t.id, t.attempt, {_NEXT}, 1, %s, %s, %s, %s, FALSE, %s
FROM experiments_trial t WHERE t.id = %s
RETURNING batch
"""
_HEARD = """
UPDATE experiments_trial SET heartbeat_at = %s, latest_step = COALESCE(%s, latest_step),
    latest_value = COALESCE(%s, latest_value)
WHERE id = %s AND (%s OR heartbeat_at IS NULL OR heartbeat_at < %s)
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """A flush on its way into the database; (trial, attempt, batch) says which one it is.

    `first_step` and `last_step` are the smallest and the largest step; `latest_value` is the last
    value of the official metric by now, None before there is one.
    """

    trial_id: int
    attempt: int
    batch: int
    payload: bytes
    points: int
    first_step: int
    last_step: int
    latest_value: float | None = None
    latest_step: float | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """Result of appending a batch: whether it is new, and whether its attempt holds the trial."""

    stored: bool
    alive: bool


@dataclass(frozen=True, slots=True)
class _Held:
    """A locked trial: its attempt, its state, and when its program was last heard of."""

    attempt: int
    state: int
    heard_at: dt.datetime | None


def append(batch: Batch, *, heard_at: dt.datetime | None = None) -> Appended:
    """Append one flush; see `append_all`."""
    return append_all([batch], heard_at=heard_at)[0]


def append_all(batches: Sequence[Batch], *, heard_at: dt.datetime | None = None) -> list[Appended]:
    """Append flushes of any trials in one transaction; one that is there already changes nothing.

    A flush of an attempt that was taken over is kept and marked, never lost and never drawn. One
    of a trial that was deleted meanwhile is dropped. `heard_at`: the flushes are a sign of life,
    too, of trials that no worker runs; it is written every `HEARD_EVERY`.
    """
    if not batches:
        return []
    if len(batches) == 1:
        appended = _append_one(batches[0], heard_at)
        if appended is not None:
            return [appended]
    with transaction.atomic(savepoint=False):
        locked = _lock({batch.trial_id for batch in batches})
        done = [_append(batch, locked.get(batch.trial_id)) for batch in batches]
        newest: dict[int, Batch | None] = {}
        for batch, outcome in zip(batches, done, strict=True):
            if outcome.stored and outcome.alive and batch.latest_step is not None:
                newest[batch.trial_id] = batch
            elif outcome.alive and _is_news(heard_at, locked[batch.trial_id]):
                newest.setdefault(batch.trial_id, None)
        for trial_id, latest in newest.items():
            _show_latest(trial_id, latest, heard_at)
    return done


def _append_one(batch: Batch, heard_at: dt.datetime | None) -> Appended | None:
    """Result of appending a flush, in one message; None when it is no news, which takes a look."""
    moment = connection.ops.adapt_datetimefield_value
    key = (batch.trial_id, batch.attempt, batch.batch)
    statements = locking(trial_id=batch.trial_id)
    if heard_at is not None:
        heard = (moment(heard_at), batch.trial_id, batch.attempt)
        statements.append((_HEARD_ONE, [*heard, moment(heard_at - HEARD_EVERY)]))
    if batch.latest_step is not None:
        shown = (batch.latest_step, _finite(batch.latest_value))
        statements.append((_SHOW_ONE, [*shown, batch.trial_id, batch.attempt, *key, batch.batch]))
    values = [
        batch.attempt,
        batch.batch,
        batch.payload,
        batch.points,
        batch.first_step,
        batch.last_step,
        batch.attempt,
        moment(timezone.now()),
        batch.trial_id,
    ]
    found = execute_batch(*statements, (_INSERT_ONE, [*values, *key, batch.batch]))
    return None if found is None else Appended(stored=True, alive=not found[0])


def append_next(
    *,
    trial_id: int,
    calls: Sequence[Call],
    heard_at: dt.datetime,
    official: tuple[float, float] | None = None,
) -> int | None:
    """Append log calls as the next flush of a trial that no worker runs, ended or not, and keep
    the latest point of each metric; one message to the database.

    `official` is the last value of the official metric and its step. Returns the flush's number,
    None when there is no such trial.
    """
    moment = connection.ops.adapt_datetimefield_value
    steps = [step for step, _, _ in calls]
    value, step = (_finite(official[0]), official[1]) if official else (None, None)
    heard = [moment(heard_at), step, value, trial_id]
    statements: list[Statement] = [
        *locking(trial_id=trial_id),
        (_HEARD, [*heard, official is not None, moment(heard_at - HEARD_EVERY)]),
        latest_statement(trial_id, calls),
        (
            _INSERT_NEXT,
            [
                encode(calls),
                sum(len(values) for _, _, values in calls),
                math.floor(min(steps)),
                math.ceil(max(steps)),
                moment(timezone.now()),
                trial_id,
            ],
        ),
    ]
    found = execute_batch(*statements)
    return None if found is None else int(found[0])


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _lock(trial_ids: Iterable[int]) -> dict[int, _Held]:
    """Lock trials until the transaction ends; in one order for everyone."""
    rows = (
        Trial.objects.select_for_update(no_key=True)
        .filter(pk__in=trial_ids)
        .order_by("pk")
        .values_list("pk", "attempt", "state", "heartbeat_at")
    )
    return {
        trial_id: _Held(attempt, state, heard_at) for trial_id, attempt, state, heard_at in rows
    }


def _is_news(heard_at: dt.datetime | None, locked: _Held) -> bool:
    """Test whether a sign of life is worth a statement of its own."""
    if heard_at is None:
        return False
    return locked.heard_at is None or heard_at - locked.heard_at >= HEARD_EVERY


def _append(batch: Batch, locked: _Held | None) -> Appended:
    if locked is None:
        return Appended(stored=False, alive=False)
    alive = (locked.attempt, locked.state) == (batch.attempt, TrialState.RUNNING)
    key = (batch.trial_id, batch.attempt, batch.batch)
    values: list[Any] = [
        *key,
        batch.payload,
        batch.points,
        batch.first_step,
        batch.last_step,
        not alive,
        connection.ops.adapt_datetimefield_value(timezone.now()),
    ]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [*values, *key, batch.batch])
        return Appended(stored=cursor.rowcount == 1, alive=alive)


def _show_latest(trial_id: int, batch: Batch | None, heard_at: dt.datetime | None) -> None:
    changes: dict[str, Any] = {} if heard_at is None else {"heartbeat_at": heard_at}
    if batch is not None:
        changes["latest_step"] = batch.latest_step
        if batch.latest_value is not None and math.isfinite(batch.latest_value):
            changes["latest_value"] = batch.latest_value
    Trial.objects.filter(pk=trial_id).update(**changes)


def resume(*, trial_id: int, attempt: int, resumption: Resumption) -> None:
    """Record that an attempt goes on from a checkpoint: its curve continues the earlier one there.

    Raises:
        TrialFenced, TrialFinished, NotFound: when the attempt does not hold the trial.
    """
    with transaction.atomic():
        require_attempt(trial_id=trial_id, attempt=attempt)
        trial = Trial.objects.only("resumed").get(pk=trial_id)
        Trial.objects.filter(pk=trial_id).update(
            resumed=with_resumption(trial.resumed, attempt, resumption)
        )


def build_on_lower_budget(*, trial_id: int, attempt: int) -> None:
    """Record that training on one budget went on from the checkpoint of a lower one.

    Raises:
        TrialFenced, TrialFinished, NotFound: when the attempt does not hold the trial.
    """
    with transaction.atomic():
        require_attempt(trial_id=trial_id, attempt=attempt)
        trial = Trial.objects.only("resumed").get(pk=trial_id)
        Trial.objects.filter(pk=trial_id).update(resumed=with_lower_budget(trial.resumed))


def compact(trial_id: int) -> int:
    """Join neighbouring rows of each attempt into rows of `ROW_POINTS` at most.

    Readers find the same. Only flushes that follow each other without a gap are joined, so that
    one that is still on its way finds its place. Returns the number of rows that are gone.
    """
    rows = SeriesBatch.objects.filter(trial_id=trial_id).order_by("attempt", "batch")
    gone = 0
    for first, last in _runs(rows.only("attempt", "batch", "joined", "points", "fenced")):
        start = first.batch
        while start < last.batch:  # several rounds where names alone fill a row
            start, joined = _join(trial_id, first.attempt, start, last.batch)
            gone += joined
    return gone


def _runs(rows: Iterable[SeriesBatch]) -> Iterable[tuple[SeriesBatch, SeriesBatch]]:
    """First and last of the neighbours that are small enough for one row."""
    first = last = None
    points = 0
    for row in rows:
        if first is None or last is None or points + row.points > ROW_POINTS:
            fits = False
        else:
            fits = _follows(row, last)
        if not fits:
            if first is not None and last is not None:
                yield first, last
            first, points = row, 0
        last = row
        points += row.points
    if first is not None and last is not None:
        yield first, last


def _follows(row: SeriesBatch, before: SeriesBatch) -> bool:
    return (row.attempt, row.fenced, row.batch - row.joined) == (
        before.attempt,
        before.fenced,
        before.batch,
    )


def _join(trial_id: int, attempt: int, start: int, end: int) -> tuple[int, int]:
    """Put the rows from batch `start` on, as many as fit, into one.

    Returns where the next round starts and how many rows are gone.
    """
    with transaction.atomic():
        _lock([trial_id])
        found = SeriesBatch.objects.filter(
            trial_id=trial_id, attempt=attempt, batch__gte=start, batch__lte=end
        ).order_by("batch")
        rows: list[SeriesBatch] = []
        raw = 0
        for row in found:
            raw += raw_bytes(bytes(row.payload))
            # Looked at again under the lock: somebody else may have joined them meanwhile.
            if rows and (raw > ROW_RAW_BYTES or not _follows(row, rows[-1])):
                break
            rows.append(row)
        if len(rows) > 1:
            found.filter(batch__lte=rows[-1].batch).delete()
            _joined(rows).save()
    if len(rows) < 2:
        return (rows[0].batch + 1 if rows else end), 0
    return rows[-1].batch + 1, len(rows) - 1


def _joined(rows: Sequence[SeriesBatch]) -> SeriesBatch:
    last = rows[-1]
    filled = [row for row in rows if row.points] or [last]
    return SeriesBatch(
        trial_id=last.trial_id,
        attempt=last.attempt,
        batch=last.batch,
        joined=sum(row.joined for row in rows),
        points=sum(row.points for row in rows),
        first_step=min(row.first_step for row in filled),
        last_step=max(row.last_step for row in filled),
        payload=join([bytes(row.payload) for row in rows]),
        fenced=last.fenced,
    )


def seal(*, trial_id: int, name: str, value: float) -> None:
    """Keep a test score where only a recorded opening shows it; a new attempt's replaces it."""
    SealedScore.objects.update_or_create(
        trial_id=trial_id,
        name=name[:200],
        defaults={"value": value if math.isfinite(value) else None},
    )
