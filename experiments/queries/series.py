"""Read series: whole flushes, decoded, in one query for any number of trials."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from django.db.models import F
from numpy.typing import NDArray

from experiments.metrics import Metric, is_test
from experiments.models import SeriesBatch
from experiments.series_encoding import SeriesColumns, decode


@dataclass(frozen=True, slots=True)
class Flush:
    """One stored flush: where it belongs and the series in it."""

    trial_id: int
    attempt: int
    batch: int
    series: dict[str, SeriesColumns]


def flushes(
    trial_ids: Iterable[int],
    *,
    declared: dict[str, Metric] | None = None,
    after: dict[int, tuple[int, int]] | None = None,
) -> list[Flush]:
    """Flushes of the newest attempt of each trial, in the order they were logged.

    `after` maps a trial to (attempt, batch) already seen. Metrics of the test split are never
    returned, whatever was stored.
    """
    rows = (
        SeriesBatch.objects.filter(
            trial_id__in=list(trial_ids), fenced=False, attempt=F("trial__attempt")
        )
        .order_by("trial_id", "batch")
        .values_list("trial_id", "attempt", "batch", "payload")
    )
    seen = after or {}
    return [
        Flush(trial_id, attempt, batch, _without_test(decode(bytes(payload)), declared or {}))
        for trial_id, attempt, batch, payload in rows.iterator()
        if (attempt, batch) > seen.get(trial_id, (-1, -1))
    ]


def _without_test(
    series: dict[str, SeriesColumns], declared: dict[str, Metric]
) -> dict[str, SeriesColumns]:
    return {name: each for name, each in series.items() if not is_test(name, declared)}


def read(
    trial_ids: Iterable[int],
    *,
    names: Collection[str] | None = None,
    declared: dict[str, Metric] | None = None,
) -> dict[int, dict[str, SeriesColumns]]:
    """Whole series of many trials: trial id -> metric name -> columns [T], in logging order."""
    parts: dict[int, dict[str, list[SeriesColumns]]] = {}
    for flush in flushes(trial_ids, declared=declared):
        of_trial = parts.setdefault(flush.trial_id, {})
        for name, columns in flush.series.items():
            if names is None or name in names:
                of_trial.setdefault(name, []).append(columns)
    return {
        trial_id: {name: _joined(pieces) for name, pieces in of_trial.items()}
        for trial_id, of_trial in parts.items()
    }


def _joined(pieces: list[SeriesColumns]) -> SeriesColumns:
    if len(pieces) == 1:
        return pieces[0]
    return SeriesColumns(
        steps=_concatenated([piece.steps for piece in pieces]),
        values=np.concatenate([piece.values for piece in pieces]),
        times_ms=_concatenated([piece.times_ms for piece in pieces]),
    )


def _concatenated(arrays: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(arrays)
