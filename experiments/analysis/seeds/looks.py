"""Declared looks: at which numbers of pairs a comparison may be tested, and how strictly.

Testing again after every added seed finds a difference that is not there in one case of seven
(3 to 10 seeds, each test at 5 %). So the looks are declared before the replicates are queued, and
each is tested at a nominal level small enough that all of them together adopt by mistake in 5 %
of cases (Pocock, "Group sequential methods in the design and analysis of clinical trials",
Biometrika 1977).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

TOTAL_ERROR = 0.05
FEWEST_PAIRS = 3
MOST_LOOKS = 30

# Pocock's nominal two-sided levels for a total of 5 %, used here at one side of t tests on equal
# steps. Simulated totals (normal differences, 10, 20, 30, .. pairs): 4.8 to 5.0 %.
POCOCK_LEVELS = {2: 0.0294, 3: 0.0221, 4: 0.0182, 5: 0.0158}
# Below this step the t tests' few degrees of freedom lift the table's total to 5.2 %.
SMALLEST_TABLE_STEP = 5

SIMULATIONS = 1_000_000
SIMULATION_SEED = 0
_CHUNK = 100_000

LevelSource = Literal["one look", "table", "simulation"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Looks at increasing numbers of pairs, each tested one-sided at `level`.

    `looks`: numbers of pairs, e.g. (10, 20, 30). `level`: nominal one-sided level of each look.
    `source`: where the level comes from.
    Raises ValueError for looks that are not increasing, below 3 pairs or more than 30, and for a
    level outside (0, 0.5).
    """

    looks: tuple[int, ...]
    level: float
    source: LevelSource

    def __post_init__(self) -> None:
        check_looks(self.looks)
        if not 0 < self.level < 0.5:
            raise ValueError(f"The level of a look lies between 0 and 0.5, not at {self.level}.")


def check_looks(looks: Sequence[int]) -> None:
    """Raise ValueError with a readable reason unless `looks` can be a schedule."""
    if not looks:
        raise ValueError("A schedule needs at least one look.")
    if len(looks) > MOST_LOOKS:
        raise ValueError(f"A schedule has at most {MOST_LOOKS} looks, not {len(looks)}.")
    if looks[0] < FEWEST_PAIRS:
        raise ValueError(f"The first look needs at least {FEWEST_PAIRS} pairs, not {looks[0]}.")
    if any(later <= earlier for earlier, later in pairwise(looks)):
        raise ValueError(f"Looks come at increasing numbers of pairs, not at {tuple(looks)}.")


DEFAULT = Schedule(looks=(10, 20, 30), level=0.0221, source="table")


def plan(looks: Sequence[int]) -> Schedule:
    """The schedule for these looks, with the level that keeps its total error at 5 %.

    One look: 0.05. Two to five looks at equal steps of at least 5 pairs: Pocock's levels. Any
    other: from a million simulations with a fixed seed (about a second, then remembered).
    Raises ValueError as `check_looks`.
    """
    check_looks(looks)
    counts = tuple(int(count) for count in looks)
    if len(counts) == 1:
        return Schedule(counts, TOTAL_ERROR, "one look")
    step = counts[0]
    equal = all(count == step * (i + 1) for i, count in enumerate(counts))
    if equal and step >= SMALLEST_TABLE_STEP and len(counts) in POCOCK_LEVELS:
        return Schedule(counts, POCOCK_LEVELS[len(counts)], "table")
    return Schedule(counts, simulated_level(counts), "simulation")


@lru_cache(maxsize=256)
def simulated_level(looks: tuple[int, ...]) -> float:
    """The nominal one-sided level at which these looks together adopt in 5 % of equal truths.

    The 5 % quantile of the smallest p-value over the looks, to four decimals (its standard error
    is below 0.0001), from a million simulations of normal differences.
    """
    degrees = _degrees(looks)
    # The smallest p-value's 5 % quantile cannot lie above the first look's own, which is 5 %, so
    # whatever lies above a little more than that needs no exact value.
    near = stdtrit(degrees, 1 - 1.2 * TOTAL_ERROR)
    smallest = []
    for statistics in _null_statistics(looks):
        p = np.ones_like(statistics)
        row, column = np.nonzero(statistics > near)
        p[row, column] = stdtr(degrees[row, 0], -statistics[row, column])
        smallest.append(p.min(axis=0))
    return round(float(np.quantile(np.concatenate(smallest), TOTAL_ERROR)), 4)


@lru_cache(maxsize=256)
def after_peeking_error(
    schedule: Schedule, extra_looks: tuple[int, ...] = (), *, candidates: int = 1
) -> float:
    """Rate at which an equal candidate is adopted by looking on after the last look.

    `extra_looks`: totals of pairs at which the extra looks were taken, increasing and above the
    schedule's last. `candidates`: how many share the level; the rate is that of each. Returns a
    rate in 0..1, from a million simulations under normal differences; without extra looks the
    schedule's own error. Raises ValueError as `check_looks`.
    """
    looks = schedule.looks + tuple(extra_looks)
    check_looks(looks)
    critical = stdtrit(_degrees(looks), 1 - schedule.level / candidates)
    crossed = [(t > critical).any(axis=0).mean() for t in _null_statistics(looks)]
    return float(np.mean(crossed))


def _degrees(looks: tuple[int, ...]) -> NDArray[np.float64]:
    """Degrees of freedom of each look's t test [looks, 1]."""
    return np.array(looks, dtype=np.float64)[:, None] - 1


def _null_statistics(looks: tuple[int, ...]) -> Iterator[NDArray[np.float64]]:
    """t statistics [looks, draws] of equal truth, chunk by chunk."""
    rng = np.random.default_rng(SIMULATION_SEED)
    for _ in range(SIMULATIONS // _CHUNK):
        statistics = t_paths(looks, effect=0.0, draws=_CHUNK, rng=rng)
        yield statistics
        yield -statistics  # the mirrored differences are as likely


def t_paths(
    looks: Sequence[int], *, effect: float, draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Simulated t statistics [looks, draws] of growing samples of normal differences.

    `effect`: true mean of the differences in their standard deviations. It shifts the mean alone,
    so sums are kept without it: a huge one would swallow the spread. Each step between looks
    enters by its sum and its sum of squares (a normal and a chi-square draw), so the cost does
    not grow with the number of pairs.
    """
    total = np.zeros(draws)
    squares = np.zeros(draws)
    statistics = np.empty((len(looks), draws))
    before = 0
    for i, count in enumerate(looks):
        added = count - before
        step = rng.standard_normal(draws) * np.sqrt(added)
        squares += step**2 / added
        if added > 1:
            squares += rng.chisquare(added - 1, draws)
        total += step
        deviation = np.sqrt((squares - total**2 / count) / (count - 1))
        statistics[i] = (total / count + effect) / (deviation / np.sqrt(count))
        before = count
    return statistics
