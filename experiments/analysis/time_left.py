"""Time left of runs that go on: one estimate, with its range."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeAlias

Span: TypeAlias = tuple[float, float]  # start and end of a run, in seconds

CONFIDENCE = 0.9
NARROWEST = 0.05  # of the expected time, on either side
# Before runs have shown how much their durations differ: as three would that differ so much.
USUAL_DEVIATION = 0.4  # of the mean
USUAL_RUNS = 3


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Range of the seconds that are left."""

    low: float
    high: float

    @property
    def expected(self) -> float:
        """Middle of the range on a scale of factors."""
        return math.sqrt(self.low * self.high)


def time_left(
    spans: Sequence[Span], runs: float, *, running: int = 0, at_once: float | None = None
) -> TimeLeft | None:
    """Range of the time until so many runs are done, None before one has ended.

    Prediction interval for the sum of durations like those of `spans`, divided by `at_once`, else
    by how many of them ran at once and how many are `running`: of those that go on none has ended
    yet, so that early spans alone would show too few. `runs` counts what runs now as a half.
    """
    from scipy.special import stdtrit  # here: a list of experiments must not wait for it

    ended = [span for span in spans if span[1] > span[0]]
    if not ended or runs <= 0:
        return None
    seconds = [end - start for start, end in ended]
    count, mean = len(seconds), fmean(seconds)
    lanes = max(1.0, min(at_once or _lanes(ended, running), math.ceil(runs)))
    freedom = USUAL_RUNS + count - 1
    squares = USUAL_RUNS * USUAL_DEVIATION**2 + sum((one / mean - 1) ** 2 for one in seconds)
    deviation = math.sqrt(squares / freedom)
    # At the end some lanes stand idle for as long as a run that goes on has left on average.
    idle = (lanes - 1) * (1 + deviation**2) / 2
    total = (runs + idle) * mean / lanes
    # Relative deviation of the sum, of the mean that it is predicted from, of the last run.
    spread = math.hypot(deviation * math.sqrt(1 / runs + 1 / count), deviation * mean / total)
    width = max(NARROWEST, spread * float(stdtrit(freedom, (1 + CONFIDENCE) / 2)))
    return TimeLeft(total / (1 + width), total * (1 + width))


def _lanes(ended: Sequence[Span], running: int) -> float:
    """Runs at once: of those that ended, and as much as so many more of those that go on."""
    return (len(ended) * concurrency(ended) + running * running) / (len(ended) + running)


def concurrency(spans: Iterable[Span]) -> float:
    """Mean number of runs at once while any ran; gaps as short as a run count, pauses do not."""
    ordered = sorted(span for span in spans if span[1] > span[0])
    work = sum(end - start for start, end in ordered)
    mean = work / len(ordered)
    wall, until = 0.0, ordered[0][0]
    for start, end in ordered:
        wall += min(max(0.0, start - until), mean)
        wall += max(0.0, end - max(start, until))
        until = max(until, end)
    return work / wall
