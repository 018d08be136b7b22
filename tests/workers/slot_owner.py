"""Who owns a slot in the tests: gives it jobs and orders, keeps what it tells."""

from __future__ import annotations

import time
from typing import Any

from experiments.trials.series.series_encoding import decode
from workers.node.supervisor import Order, Slot
from workers.training.messages import Job, Outcome, Sealed, SeriesFlush

FUNCTIONS = "tests.workers.training_functions"


class Owner:
    """Keeps all that a slot tells and gives the orders it was made with."""

    def __init__(self, order: Order | None = None, prune_at: int | None = None) -> None:
        self.order: Order | None = order
        self.prune_at = prune_at
        self.flushes: list[SeriesFlush] = []
        self.reports: list[tuple[float, float]] = []
        self.sealed: list[Sealed] = []
        self.tails: list[str] = []
        self.ticks: list[float] = []

    def run(self, slot: Slot, function: str, **changes: Any) -> Outcome:
        return slot.run(
            job(function, **changes),
            on_series=self.flushes.append,
            on_report=self.on_report,
            on_sealed=self.sealed.append,
            on_log_tail=self.tails.append,
            on_tick=self.on_tick,
            tick_seconds=0.1,
        )

    def on_report(self, step: float, value: float) -> bool:
        self.reports.append((step, value))
        return step == self.prune_at

    def on_tick(self) -> Order | None:
        self.ticks.append(time.monotonic())
        # First let something arrive.
        return self.order if self.flushes else None

    def points(self) -> dict[str, list[float]]:
        points: dict[str, list[float]] = {}
        for flush in self.flushes:
            for name, columns in decode(flush.payload).items():
                points.setdefault(name, []).extend(columns.values.tolist())
        return points


def job(function: str, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "label": "digits/1",
        "objective": f"{FUNCTIONS}:{function}",
        "allowed": (FUNCTIONS,),
        "params": {"width": 3},
        "train_seed": 11,
        "split_seed": 12,
        "official_metric": "validation_accuracy",
        "direction": "maximize",
    }
    return Job(**{**values, **changes})
