"""Interval and estimate after a sequential stop, against the naive mean and its interval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import TypedDict

import numpy as np

from benchmarks._table import Row, row
from benchmarks.seed_tables import Floats
from experiments.analysis.seeds.comparison import paired_sample, paired_t, replay
from experiments.analysis.seeds.looks import Schedule, plan
from experiments.analysis.seeds.sequential import estimate_after_stop, gain_given_adopt

SCHEDULES = (
    (10, 20, 30),
    (3, 5, 7),
    (4, 8, 12, 16),
    (3, 5, 10),
    (5, 10),
    (5, 10, 15, 20, 25),
    (20, 40),
)
EFFECTS = (0.0, 0.2, 0.5, 1.0, 2.0)  # standard deviations of the gains
DRAWS = 800


class Design(TypedDict):
    """Constants of a stop."""

    margin: float
    level: float
    looks: list[int]


@dataclass(frozen=True, slots=True)
class Stops:
    """What is shown at the stop of each of many comparisons [D] of one true gain.

    `given_adopt`: the gain that allows for the selection by an adopt, nan elsewhere. `naive_*`:
    the plain mean and the interval at the level of the look.
    """

    looks: tuple[int, ...]
    effect: float
    adopted: np.ndarray
    estimate: Floats
    given_adopt: Floats
    lower: Floats
    upper: Floats
    naive: Floats
    naive_lower: Floats
    naive_upper: Floats

    @property
    def coverage(self) -> float:
        return float(((self.lower <= self.effect) & (self.effect <= self.upper)).mean())

    @property
    def naive_coverage(self) -> float:
        held = (self.naive_lower <= self.effect) & (self.effect <= self.naive_upper)
        return float(held.mean())

    @property
    def median_bias(self) -> float:
        return float(np.median(self.estimate) - self.effect)

    @property
    def naive_median_bias(self) -> float:
        return float(np.median(self.naive) - self.effect)


def measure(rng: np.random.Generator) -> Iterator[Stops]:
    for looks in SCHEDULES:
        for effect in EFFECTS:
            yield stops(plan(looks), effect, rng, DRAWS)


def stops(schedule: Schedule, effect: float, rng: np.random.Generator, draws: int) -> Stops:
    """Follow a schedule with normal gains, and look at what each stop shows."""
    gains = rng.normal(effect, 1, size=(draws, schedule.looks[-1]))
    followed = replay(gains, schedule)
    shown = np.full((7, draws), np.nan)
    for index, count in enumerate(followed.pairs.tolist()):
        rows = gains[index : index + 1, :count]
        design: Design = {
            "margin": 0.0,
            "level": schedule.level,
            "looks": [look for look in schedule.looks if look <= count],
        }
        found = estimate_after_stop(paired_sample(rows), **design)
        given = nan
        if followed.outcome[index] == 1:
            given = gain_given_adopt(paired_sample(rows), **design)
        naive = paired_t(rows, margin=0.0, level=schedule.level, corrected=False)
        shown[:, index] = (
            found.estimate, given, found.lower, found.upper,
            naive.mean[0], naive.lower[0], naive.upper[0],
        )  # fmt: skip
    return Stops(schedule.looks, effect, followed.outcome == 1, *shown)


def rows(rng: np.random.Generator) -> list[Row]:
    """Coverage, median bias, and what an adopt shows of a small gain."""
    found = []
    for one in measure(rng):
        where = f"looks {', '.join(map(str, one.looks))}, true gain {one.effect:g} SD"
        error = 2 * float(np.sqrt(0.05 * 0.95 / len(one.estimate)))
        found.append(row(f"Coverage of the interval at the stop, {where}; peer: of the look",
                        one.coverage, one.naive_coverage, "share", f"0.93 to 0.97 +- {error:.3f}",
                        0.93 - error <= one.coverage <= 0.97 + error))  # fmt: skip
        found.append(row(f"Median bias of the estimate, {where}; peer: naive mean",
                        one.median_bias, one.naive_median_bias, "SD", "under 0.1",
                        abs(one.median_bias) < 0.1))  # fmt: skip
        if one.effect in (0.2, 0.5) and one.adopted.any():
            for name, gains in (("estimate", one.estimate), ("given the adopt", one.given_adopt)):
                shown = [float(np.median(g[one.adopted]) / one.effect) for g in (gains, one.naive)]
                found.append(row(f"Median gain at an adopt over the truth, {name}, {where}; peer: "
                                "naive mean", *shown, "times"))  # fmt: skip
    return found
