"""Read series: whole flushes, decoded, in one query for any number of trials.

A trial's curve is that of its newest attempt. Where that went on from a checkpoint, it continues
those before it at the checkpoint's step (`trials.series.lineage`); what they had logged beyond is
kept and read by `earlier_attempts`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import F, Q, QuerySet
from numpy.typing import NDArray

from experiments.design.metrics import Metric, is_test
from experiments.models import SeriesBatch, Trial
from experiments.trials.series.lineage import Resumption, last_step, on_the_curve, resumptions
from experiments.trials.series.series_encoding import SeriesColumns, decode, joined_steps

_MOST_TRIALS = 200  # of one statement
_PIECE = 16  # rows in memory at once

Cursor = tuple[int, int]  # attempt and batch up to which a reader has seen a trial


@dataclass(frozen=True, slots=True)
class Flush:
    """One stored row: where it belongs and the series in it, of the flushes `first` to `batch`."""

    trial_id: int
    attempt: int
    batch: int
    series: dict[str, SeriesColumns]
    first: int = 0


@dataclass(frozen=True, slots=True)
class News:
    """Unseen flushes of a trial.

    `whole`: the series are all there is, and replace what was seen before (it belonged to another
    attempt, or its flushes were joined across the reader's place).
    """

    cursor: Cursor
    series: dict[str, SeriesColumns]
    whole: bool


def flushes(
    trial_ids: Iterable[int],
    *,
    declared: Mapping[str, Metric] | None = None,
    after: Mapping[int, Cursor] | None = None,
) -> list[Flush]:
    """Flushes of the curve of each trial, in the order they were logged.

    `after` maps a trial to (attempt, batch) already seen. Metrics of the test split are never
    returned, whatever was stored.
    """
    return list(iterate(trial_ids, declared=declared, after=after))


def iterate(
    trial_ids: Iterable[int],
    *,
    names: Collection[str] | None = None,
    declared: Mapping[str, Metric] | None = None,
    after: Mapping[int, Cursor] | None = None,
    steps: tuple[int, int] | None = None,
) -> Iterator[Flush]:
    """As `flushes`, one row in memory at a time; of `names` alone, if given.

    `steps` leaves out rows without any step in that range, both ends included; points outside it
    may still come.
    """
    for some in _portions(trial_ids):
        rows = _columns(some, after or {}, steps).iterator(chunk_size=_PIECE)
        yield from _decoded(rows, names, declared)


def in_pieces(
    trial_id: int,
    *,
    names: Collection[str] | None = None,
    declared: Mapping[str, Metric] | None = None,
    steps: tuple[int, int] | None = None,
) -> Iterator[Flush]:
    """As `iterate` of one trial, but between two pieces no cursor is open, however long whoever
    asks takes: for a file that is read as fast as its client likes."""
    after: dict[int, Cursor] = {}
    while rows := list(_columns([trial_id], after, steps)[:_PIECE]):
        yield from _decoded(rows, names, declared)
        after = {trial_id: (rows[-1][1], rows[-1][2])}


def _columns(
    trial_ids: Collection[int], after: Mapping[int, Cursor], steps: tuple[int, int] | None
) -> QuerySet[SeriesBatch, tuple[Any, ...]]:
    rows = _rows(trial_ids, after)
    if steps is not None:
        rows = rows.filter(last_step__gte=steps[0], first_step__lte=steps[1])
    return rows.order_by("trial_id", "attempt", "batch").values_list(
        "trial_id", "attempt", "batch", "joined", "trial__attempt", "trial__resumed", "payload"
    )


def _decoded(
    rows: Iterable[tuple[Any, ...]],
    names: Collection[str] | None,
    declared: Mapping[str, Metric] | None,
) -> Iterator[Flush]:
    for trial_id, attempt, batch, joined, newest, resumed, payload in rows:
        bounds: tuple[Resumption, ...] = ()
        if attempt != newest:
            spans = on_the_curve(newest, resumptions(resumed))
            if attempt not in spans:
                continue
            bounds = spans[attempt]
        shown = _shown(payload, names, declared)
        if bounds:
            shown = _cut(shown, bounds, before=True)
            if not shown:
                continue
        yield Flush(trial_id, attempt, batch, shown, batch - joined + 1)


def resumed_at(trial_id: int) -> list[float]:
    """The first steps of the trial's own curve that were made after it was taken up again."""
    text = Trial.objects.values_list("resumed", flat=True).get(pk=trial_id)
    found = resumptions(text).values()
    return [
        checkpoint.step + 1
        for checkpoint in found
        if checkpoint.step is not None and not checkpoint.suffix
    ]


def columns_of(
    payload: bytes, *, declared: Mapping[str, Metric] | None = None
) -> dict[str, SeriesColumns]:
    """The series of one flush as a reader of the database finds them there."""
    return _shown(payload, None, declared)


def _shown(
    payload: Any, names: Collection[str] | None, declared: Mapping[str, Metric] | None
) -> dict[str, SeriesColumns]:
    series = decode(bytes(payload), names)
    known = {} if declared is None else declared
    return {name: series[name] for name in series if not is_test(name, known)}


def earlier_attempts(
    trial_id: int,
    *,
    names: Collection[str] | None = None,
    declared: Mapping[str, Metric] | None = None,
) -> dict[int, dict[str, SeriesColumns]]:
    """Series of ended attempts that are not on the trial's curve: attempt -> name -> columns.

    They were trained again, or their attempt had been taken over; no point is ever dropped.
    """
    rows = SeriesBatch.objects.filter(trial_id=trial_id).order_by("attempt", "batch")
    parts: dict[int, list[Flush]] = {}
    for attempt, batch, newest, resumed, payload in (
        rows.filter(attempt__lt=F("trial__attempt"))
        .values_list("attempt", "batch", "trial__attempt", "trial__resumed", "payload")
        .iterator(chunk_size=16)
    ):
        shown = _shown(payload, names, declared)
        bounds = on_the_curve(newest, resumptions(resumed)).get(attempt)
        if bounds is not None:
            shown = _cut(shown, bounds, before=False)
        if shown:
            parts.setdefault(attempt, []).append(Flush(trial_id, attempt, batch, shown))
    return {attempt: _together(flushes) for attempt, flushes in parts.items()}


def _portions(trial_ids: Iterable[int]) -> Iterator[list[int]]:
    """As many trials as one statement takes."""
    rest = iter(trial_ids)
    while some := list(islice(rest, _MOST_TRIALS)):
        yield some


def _rows(trial_ids: Collection[int], after: Mapping[int, Cursor]) -> QuerySet[SeriesBatch]:
    wanted = Q(trial_id__in=[trial_id for trial_id in trial_ids if trial_id not in after])
    for trial_id in trial_ids:
        if trial_id in after:
            attempt, batch = after[trial_id]
            wanted |= Q(trial_id=trial_id) & (
                Q(attempt__gt=attempt) | Q(attempt=attempt, batch__gt=batch)
            )
    newest = Q(fenced=False, attempt=F("trial__attempt"))
    # Of a resumed trial also what came late: it may lie before the checkpoint.
    before = ~Q(trial__resumed="{}") & Q(attempt__lt=F("trial__attempt"))
    return SeriesBatch.objects.filter(wanted, newest | before)


def since(
    seen: Mapping[int, Cursor | None],
    *,
    names: Collection[str] | None = None,
    declared: Mapping[str, Metric] | None = None,
) -> dict[int, News]:
    """Flushes that have come for each trial since its cursor (None: nothing was seen).

    Trials without news are left out. One query reads what is newer, and one more the whole of
    those that cannot be continued.
    """
    places = {trial_id: place for trial_id, place in seen.items() if place is not None}
    parts: dict[int, list[Flush]] = {}
    for flush in iterate(seen, names=names, declared=declared, after=places):
        parts.setdefault(flush.trial_id, []).append(flush)
    again = [
        trial_id
        for trial_id, flushes in parts.items()
        if trial_id in places and not _continues(flushes[0], places[trial_id])
    ]
    for trial_id in again:
        parts[trial_id] = []
    for flush in iterate(again, names=names, declared=declared) if again else ():
        parts[flush.trial_id].append(flush)
    return {
        trial_id: News(
            cursor=(flushes[-1].attempt, flushes[-1].batch),
            series=_together(flushes),
            whole=trial_id in again or trial_id not in places,
        )
        for trial_id, flushes in parts.items()
        if flushes
    }


# As `_rows` has it; every open page asks this every two seconds.
_HAS_COME = """
SELECT 1 FROM experiments_seriesbatch b JOIN experiments_trial t ON t.id = b.trial_id
WHERE ((b.attempt = t.attempt AND NOT b.fenced)
    OR (b.attempt < t.attempt AND t.resumed <> '{}'))
"""


def has_come(after: Mapping[int, Cursor]) -> bool:
    """Test whether any of these trials has logged beyond its (attempt, batch)."""
    if not after:
        return False
    beyond = " OR ".join(
        f"(b.trial_id = {int(trial)} AND (b.attempt > {int(attempt)} OR "
        f"(b.attempt = {int(attempt)} AND b.batch > {int(batch)})))"
        for trial, (attempt, batch) in after.items()
    )
    with connection.cursor() as cursor:
        cursor.execute(f"{_HAS_COME} AND ({beyond}) LIMIT 1")
        return cursor.fetchone() is not None


def _continues(flush: Flush, place: Cursor) -> bool:
    """Test whether a row holds nothing that a reader at that place has seen."""
    return flush.attempt == place[0] and flush.first > place[1]


def read(
    trial_ids: Iterable[int],
    *,
    names: Collection[str] | None = None,
    declared: Mapping[str, Metric] | None = None,
    steps: tuple[int, int] | None = None,
) -> dict[int, dict[str, SeriesColumns]]:
    """Whole series of many trials: trial id -> metric name -> columns [T], in logging order.

    `steps` keeps the points of that range, both ends included.
    """
    parts: dict[int, list[Flush]] = {}
    for flush in iterate(trial_ids, names=names, declared=declared, steps=steps):
        parts.setdefault(flush.trial_id, []).append(flush)
    found = {trial_id: _together(flushes) for trial_id, flushes in parts.items()}
    if steps is None:
        return found
    return {
        trial_id: {name: within(columns, *steps) for name, columns in series.items()}
        for trial_id, series in found.items()
    }


def _cut(
    series: dict[str, SeriesColumns], bounds: tuple[Resumption, ...], *, before: bool
) -> dict[str, SeriesColumns]:
    """The part of an earlier attempt that stands, or was trained again; empty names left out."""
    cut = {}
    for name, columns in series.items():
        stands = columns.steps <= last_step(name, bounds)
        cut[name] = _chosen(columns, stands if before else ~stands)
    return {name: columns for name, columns in cut.items() if len(columns.steps)}


def within(columns: SeriesColumns, first: int, last: int) -> SeriesColumns:
    """The points with a step from `first` to `last`."""
    return _chosen(columns, (columns.steps >= first) & (columns.steps <= last))


def _chosen(columns: SeriesColumns, mask: NDArray[np.bool_]) -> SeriesColumns:
    if mask.all():
        return columns
    return SeriesColumns(columns.steps[mask], columns.values[mask], columns.times_ms[mask])


def _together(flushes: Iterable[Flush]) -> dict[str, SeriesColumns]:
    pieces: dict[str, list[SeriesColumns]] = {}
    for flush in flushes:
        for name, columns in flush.series.items():
            pieces.setdefault(name, []).append(columns)
    return {name: _joined(parts) for name, parts in pieces.items()}


def _joined(pieces: list[SeriesColumns]) -> SeriesColumns:
    if len(pieces) == 1:
        return pieces[0]
    return SeriesColumns(
        steps=joined_steps([piece.steps for piece in pieces]),
        values=np.concatenate([piece.values for piece in pieces]),
        times_ms=np.concatenate([piece.times_ms for piece in pieces]),
    )
