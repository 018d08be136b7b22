"""Write the whole curves of a run at once, as its tracker has them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from experiments.models import LatestMetric, SeriesBatch
from experiments.trials.lifecycle.services.statements import execute_batch
from experiments.trials.series.series_encoding import SeriesColumns, encode_columns
from experiments.trials.series.services.metric_summaries import summary_statements
from experiments.trials.series.services.series import ROW_POINTS

_MOST_NAMES = 1000  # of one row
_MOST_SUMMARIES = 500  # of one statement: SQLite takes 32,766 values


def write(
    *,
    trial_id: int,
    attempt: int,
    columns: Mapping[str, SeriesColumns],
    official_metric: str,
    direction: str,
) -> None:
    """Store these as all that a trial has logged, in place of what it had; within the caller's
    transaction.

    Readers that had seen the earlier points are told that all of them are new.
    """
    stored = SeriesBatch.objects.filter(trial_id=trial_id)
    newest = stored.filter(attempt=attempt).order_by("-batch").only("batch").first()
    start = 0 if newest is None else newest.batch + 1
    stored.delete()
    LatestMetric.objects.filter(trial_id=trial_id).delete()
    rows: list[SeriesBatch] = []
    for number, part in enumerate(_parts(columns), start=start):
        steps = np.concatenate([column.steps for column in part.values()])
        rows.append(
            SeriesBatch(
                trial_id=trial_id,
                attempt=attempt,
                batch=number,
                joined=1 if rows else number + 1,
                points=sum(len(column.values) for column in part.values()),
                first_step=math.floor(steps.min()),
                last_step=math.ceil(steps.max()),
                payload=encode_columns(part),
            )
        )
    SeriesBatch.objects.bulk_create(rows)
    names = list(columns)
    official = {name: columns[name] for name in names if name == official_metric}
    for first in range(0, len(names), _MOST_SUMMARIES):
        part = {name: columns[name] for name in names[first : first + _MOST_SUMMARIES]}
        execute_batch(
            *summary_statements(
                trial_id,
                {**part, **official},  # values at its best step need it
                official_metric=official_metric,
                direction=direction,
            )
        )


def _parts(columns: Mapping[str, SeriesColumns]) -> Iterator[dict[str, SeriesColumns]]:
    """Columns in parts of `ROW_POINTS` points and `_MOST_NAMES` names at most."""
    part: dict[str, SeriesColumns] = {}
    points = 0
    for name, column in columns.items():
        for start in range(0, len(column.steps), ROW_POINTS):
            piece = _slice(column, start)
            full = points + len(piece.steps) > ROW_POINTS or len(part) >= _MOST_NAMES
            if part and (full or name in part):
                yield part
                part, points = {}, 0
            part[name] = piece
            points += len(piece.steps)
    if part:
        yield part


def _slice(columns: SeriesColumns, start: int) -> SeriesColumns:
    end = start + ROW_POINTS
    return replace(
        columns,
        steps=columns.steps[start:end],
        values=columns.values[start:end],
        times_ms=columns.times_ms[start:end],
    )
