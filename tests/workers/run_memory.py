"""A sink for runs in the tests' own process."""

from __future__ import annotations

import math

from experiments.trials.series.series_encoding import decode
from workers.training.messages import BuiltOnLowerBudget, CheckpointFile, Resumed, SeriesFlush


class Memory:
    """A sink that keeps all, in the order in which it came."""

    def __init__(self, die_after: int | None = None) -> None:
        self.stop_requested = False
        self.told: list[SeriesFlush | CheckpointFile | Resumed | BuiltOnLowerBudget] = []
        self.die_after = die_after

    def series(self, flush: SeriesFlush) -> None:
        self.told.append(flush)

    def report(self, step: int, value: float) -> bool | None:
        return False

    def tell(self, message: CheckpointFile | Resumed | BuiltOnLowerBudget) -> None:
        self.told.append(message)
        step = getattr(message, "step", None)
        if step is not None and step == self.die_after:
            raise Killed

    @property
    def files(self) -> list[CheckpointFile]:
        return [message for message in self.told if isinstance(message, CheckpointFile)]

    def curve(self, name: str, last: float = math.inf) -> list[tuple[int, float]]:
        points: list[tuple[int, float]] = []
        for flush in self.told:
            if isinstance(flush, SeriesFlush):
                columns = decode(flush.payload).get(name)
                if columns is not None:
                    points += zip(columns.steps.tolist(), columns.values.tolist(), strict=True)
        return [(step, value) for step, value in points if step <= last]


class Killed(BaseException):
    """Stands for kill -9: nothing of the training function runs after it."""
