"""Sink of a run's messages."""

from __future__ import annotations

from typing import Protocol

from workers.training.messages import SeriesFlush


class Sink(Protocol):
    """Where a run's messages go."""

    @property
    def stop_requested(self) -> bool:
        """Whether the run should end at its next log call."""

    def series(self, flush: SeriesFlush) -> None:
        """Pass a flush on; called from the flusher's thread."""

    def report(self, step: float, value: float) -> bool | None:
        """Whether to prune; None when no answer came in time."""
