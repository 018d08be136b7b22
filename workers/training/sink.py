"""Sink of a run's messages."""

from __future__ import annotations

from typing import Protocol

from workers.training.messages import SeriesFlush


class Sink(Protocol):
    """Destination of a run's messages."""

    @property
    def stop_requested(self) -> bool:
        """Test whether the run should end at its next log call."""

    def series(self, flush: SeriesFlush) -> None:
        """Pass a flush on; called from the flusher's thread."""

    def report(self, step: float, value: float) -> bool | None:
        """Ask whether to prune; None when no answer came in time."""
