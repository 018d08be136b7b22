"""Series batches of one attempt for the database."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from django.db import DatabaseError

from experiments.design.metrics import Metric
from experiments.trials.series.queries.series import columns_of
from experiments.trials.series.series_encoding import SeriesColumns
from experiments.trials.series.services import series
from workers.training.messages import SeriesFlush


class AttemptSeries:
    """Batches of one attempt; a short trial has one, which need not be read back."""

    def __init__(self, trial_id: int, attempt: int) -> None:
        self._trial_id = trial_id
        self._attempt = attempt
        self._count = 0
        self._first: SeriesFlush | None = None

    def batch(self, flush: SeriesFlush) -> series.Batch:
        """The next flush as it is stored."""
        self._count += 1
        self._first = flush if self._count == 1 else None
        return series.Batch(
            trial_id=self._trial_id,
            attempt=self._attempt,
            batch=flush.batch,
            payload=flush.payload,
            points=flush.points,
            first_step=flush.first_step,
            last_step=flush.last_step,
            latest_value=flush.score.last_value,
            latest_step=flush.score.last_step,
        )

    def columns(self, declared: Mapping[str, Metric]) -> dict[str, SeriesColumns] | None:
        """All series of the trial if they are one batch of a first attempt; else None."""
        if self._attempt > 1 or self._first is None:
            return None
        return columns_of(self._first.payload, declared=declared)

    def compact(self) -> None:
        """Compact the stored batches into few rows."""
        if self._attempt > 1 or self._count > 1:
            with suppress(DatabaseError):  # they are stored, only in more rows
                series.compact(self._trial_id)
