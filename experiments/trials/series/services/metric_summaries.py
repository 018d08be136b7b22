"""Summary of each metric of a trial: last value, extremes, value where the trial was best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.trials.lifecycle.services.statements import Statement, execute_batch, locking
from experiments.trials.series.series_encoding import Call, SeriesColumns

LONGEST_NAME = 250
_COLUMNS = ("trial_id", "name", "value", "step", "time_ms", "lowest", "highest", "at_best")
_ROW = f"({', '.join(['%s'] * len(_COLUMNS))})"
# The largest step counts, then the time, then the value, NaN as zero: what is there already may
# be a point that came after the curve was read.
_NEWER = """(excluded.step, excluded.time_ms, COALESCE(excluded.value, 0))
    > (l.step, l.time_ms, COALESCE(l.value, 0))"""
_MERGED = f"""
    value = CASE WHEN {_NEWER} THEN excluded.value ELSE l.value END,
    step = CASE WHEN {_NEWER} THEN excluded.step ELSE l.step END,
    time_ms = CASE WHEN {_NEWER} THEN excluded.time_ms ELSE l.time_ms END,
    lowest = CASE WHEN excluded.lowest < l.lowest
        OR l.lowest IS NULL THEN excluded.lowest ELSE l.lowest END,
    highest = CASE WHEN excluded.highest > l.highest
        OR l.highest IS NULL THEN excluded.highest ELSE l.highest END
"""
_KEEP = f"""
INSERT INTO experiments_latestmetric AS l ({", ".join(_COLUMNS)}) VALUES {{rows}}
ON CONFLICT (trial_id, name) DO UPDATE SET {_MERGED}, at_best = excluded.at_best
"""
_LATEST = f"""
INSERT INTO experiments_latestmetric AS l (trial_id, name, value, step, time_ms, lowest, highest)
VALUES {{rows}}
ON CONFLICT (trial_id, name) DO UPDATE SET {_MERGED}
"""
_SUMMARISED = "UPDATE experiments_trial SET metrics_due = false WHERE id = %s AND metrics_due"


def latest_statement(trial_id: int, calls: Sequence[Call]) -> Statement:
    """Statement that adds log calls to the summary of a run that is under way."""
    extremes = _extremes(calls)
    rows = [
        value
        for name, point in _latest_points(calls).items()
        for value in (
            *(trial_id, name, None if math.isnan(point[2]) else point[2], *point[:2]),
            *extremes.get(name, (None, None)),
        )
    ]
    row = "(%s, %s, %s, %s, %s, %s, %s)"
    return _LATEST.format(rows=", ".join([row] * (len(rows) // 7))), rows


def _latest_points(calls: Sequence[Call]) -> dict[str, tuple[int, int, float]]:
    """(step, time, value) of the point with the largest step, then time, then value, by metric."""
    found: dict[str, tuple[int, int, float]] = {}
    for step, time_ms, values in calls:
        for name, value in values.items():
            point = (math.floor(step), time_ms, value)
            if name not in found or _rank(point) > _rank(found[name]):
                found[name] = point
    return found


def _extremes(calls: Sequence[Call]) -> dict[str, tuple[float, float]]:
    """Smallest and largest finite value by metric."""
    found: dict[str, tuple[float, float]] = {}
    for _, _, values in calls:
        for name, value in values.items():
            if math.isfinite(value):
                low, high = found.get(name, (value, value))
                found[name] = (min(low, value), max(high, value))
    return found


def _rank(point: tuple[int, int, float]) -> tuple[int, int, float]:
    return (*point[:2], 0.0 if math.isnan(point[2]) else point[2])


def summary_statements(
    trial_id: int,
    columns: Mapping[str, SeriesColumns],
    *,
    official_metric: str,
    direction: str,
) -> list[Statement]:
    """Statements that keep the summary of a trial's whole curve; none where nothing was logged."""
    best = _best_step(columns.get(official_metric), direction)
    rows = [
        value
        for name, column in columns.items()
        if len(column.steps) and len(name) <= LONGEST_NAME
        for value in (trial_id, name, *_summary(column, best))
    ]
    if not rows:
        return []
    return [(_KEEP.format(rows=", ".join([_ROW] * (len(rows) // len(_COLUMNS)))), rows)]


def summarise(
    *,
    trial_id: int,
    columns: Mapping[str, SeriesColumns],
    official_metric: str,
    direction: str,
) -> None:
    """Keep the summary of a trial that ended before there were any."""
    execute_batch(
        *locking(trial_id=trial_id),
        *summary_statements(
            trial_id, columns, official_metric=official_metric, direction=direction
        ),
        (_SUMMARISED, [trial_id]),
    )


def _best_step(official: SeriesColumns | None, direction: str) -> float | None:
    """Step of the first of the best finite values."""
    if official is None:
        return None
    finite = np.flatnonzero(np.isfinite(official.values))
    if not len(finite):
        return None
    values = official.values[finite]
    at = int(np.argmax(values) if direction == "maximize" else np.argmin(values))
    return float(official.steps[finite[at]])


def _summary(column: SeriesColumns, best: float | None) -> tuple[Any, ...]:
    order = np.lexsort((np.nan_to_num(column.values), column.times_ms, column.steps))
    last = int(order[-1])
    value = float(column.values[last])
    solid = column.values[np.isfinite(column.values)]
    at_best: float | None = None
    if best is not None:
        until = order[column.steps[order] <= best]
        if len(until) and math.isfinite(column.values[until[-1]]):
            at_best = float(column.values[until[-1]])
    return (
        None if math.isnan(value) else value,
        math.floor(column.steps[last]),
        int(column.times_ms[last]),
        float(solid.min()) if len(solid) else None,
        float(solid.max()) if len(solid) else None,
        at_best,
    )
