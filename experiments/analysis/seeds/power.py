"""Power of a number of pairs, and the number still needed.

Both are those of the test that judges, a t test corrected for skewness (`skew`): simulated, and up
to 5 points below Student's at 10 pairs. From `LARGE` pairs on the two do not differ.
Both are computed from the spread of earlier replicates and from the smallest gain that matters;
never from the gain just observed, which would only restate the p-value in other words (Hoenig and
Heisey, "The Abuse of Power", The American Statistician 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt
from typing import Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from experiments.analysis.number_formats import counted, percent, significant
from experiments.analysis.seeds.comparison import paired_t, replay
from experiments.analysis.seeds.looks import FEWEST_PAIRS, Schedule

POWER = 0.8
MOST_PAIRS = 100_000
DRAWS = 20_000
FEWEST_DRAWS = 1_000
EFFECTS = 8_000  # samples behind the power of one look, and as many mirrored
LARGE = 100  # pairs; the correction for skewness then costs less than half a point of power
SEED = 0
_BLOCK = 1_000_000  # normal draws held at a time
_MOST_NORMALS = 10_000_000

SpreadSource = Literal["earlier pairs", "assumption", "unknown"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviation of the differences of pairs, in the metric's unit, and where it is from.

    `sd` is None when it is unknown; `df` are the degrees of freedom behind it.
    """

    sd: float | None
    df: int
    source: SpreadSource
    text: str


def expected_spread(earlier: Sequence[ArrayLike] = (), baseline_scores: ArrayLike = ()) -> Spread:
    """The spread that new pairs may be expected to have.

    `earlier`: the differences [N] of each earlier comparison of the project, pooled around their
    own means. Without any: the baseline's own deviation times the square root of 2, which is an
    assumption (equal spread in both arms, nothing gained by pairing). With one replicate of the
    baseline, or none that differ: unknown. Non-finite values are left out.
    """
    comparisons = [_finite(differences) for differences in earlier]
    df = sum(max(0, differences.size - 1) for differences in comparisons)
    squares = sum(float(((d - d.mean()) ** 2).sum()) for d in comparisons if d.size > 1)
    if squares > 0:
        sd = sqrt(squares / df)
        pairs = counted(sum(d.size for d in comparisons if d.size > 1), "earlier pair")
        text = f"the spread of {pairs} (standard deviation {significant(sd)})"
        return Spread(sd, df, "earlier pairs", text)
    scores = _finite(baseline_scores)
    if scores.size > 1 and np.ptp(scores) > 0:
        sd = sqrt(2) * float(scores.std(ddof=1))
        text = (
            f"an assumption, without earlier pairs (standard deviation {significant(sd)}: the "
            f"baseline's over {scores.size} replicates times the square root of 2)"
        )
        return Spread(sd, scores.size - 1, "assumption", text)
    return Spread(None, 0, "unknown", "unknown until at least two replicates differ")


@dataclass(frozen=True, slots=True)
class Detectable:
    """Detectable gain of `pairs` pairs: true gains from `gain` on are adopted with `power`.

    `gain` includes the margin; None when the spread is unknown.
    """

    pairs: int
    gain: float | None
    power: float
    level: float
    text: str


def what_can_be_shown(
    schedule: Schedule,
    spread: Spread,
    *,
    margin: float = 0.0,
    candidates: int = 1,
    power: float = POWER,
) -> tuple[Detectable, ...]:
    """For each look of a schedule the smallest true gain that its pairs adopt with `power`.

    One-sided at the level of the first look, shared by the candidates; in the metric's unit.
    """
    level = schedule.level / candidates
    return tuple(
        _detectable(pairs, spread, margin=margin, level=level, power=power)
        for pairs in schedule.looks
    )


def _detectable(
    pairs: int, spread: Spread, *, margin: float, level: float, power: float
) -> Detectable:
    if spread.sd is None:
        text = f"What {pairs} pairs can show is {spread.text}."
        return Detectable(pairs, None, power, level, text)
    gain = margin + spread.sd * detectable_effect(pairs, level=level, power=power)
    above = f" ({significant(gain - margin)} above the margin)" if margin else ""
    text = (
        f"{pairs} pairs can show a gain of {significant(gain)}{above} with {percent(power)} power "
        f"at a one-sided level of {significant(level)}, going by {spread.text}."
    )
    return Detectable(pairs, gain, power, level, text)


def detectable_effect(pairs: int, *, level: float, power: float = POWER) -> float:
    """The smallest true effect, in standard deviations, shown with `power` at one-sided `level`.

    Raises ValueError below 3 pairs and for a power outside (level, 1).
    """
    if pairs < FEWEST_PAIRS:
        raise ValueError(f"A test needs at least {FEWEST_PAIRS} pairs, not {pairs}.")
    if not level < power < 1:
        raise ValueError(f"The power lies between the level and 1, not at {power}.")
    if pairs < LARGE:
        needed = _effects_needed(pairs, level)
        return float(needed[min(ceil(power * needed.size), needed.size) - 1])
    return float(
        scipy.optimize.brentq(lambda effect: _students_power(effect, pairs, level) - power, 0, 1.0)
    )


def achieved_power(effect: float, pairs: int, *, level: float) -> float:
    """Probability that one test at one-sided `level` shows a true `effect` (in deviations)."""
    if pairs < LARGE:
        needed = _effects_needed(pairs, level)
        return float(np.searchsorted(needed, effect, side="right") / needed.size)
    return _students_power(effect, pairs, level)


@lru_cache(maxsize=256)
def _effects_needed(pairs: int, level: float) -> NDArray[np.float64]:
    """For each of many normal samples [D] the true effect from which the test adopts, sorted."""
    rows = np.random.default_rng(SEED).standard_normal((EFFECTS, pairs))
    # The test is of the gains' own shape, so a true effect moves the lower bound with it.
    below = paired_t(np.concatenate([rows, -rows]), margin=0.0, level=level).lower
    return np.sort(-below)


def _students_power(effect: float, pairs: int, level: float) -> float:
    # Here: it loads pandas, a quarter of what a web server takes to start.
    from statsmodels.stats.power import TTestPower

    return float(TTestPower().power(effect, pairs, level, alternative="larger"))


@dataclass(frozen=True, slots=True)
class SeedsNeeded:
    """Pairs a test needs to show the smallest gain that matters; None when that has no answer.

    `further`: how many of them are still missing.
    """

    pairs: int | None
    further: int | None
    text: str


def seeds_needed(
    smallest_gain: float,
    spread: Spread,
    *,
    schedule: Schedule,
    have: int = 0,
    margin: float = 0.0,
    candidates: int = 1,
    power: float = POWER,
) -> SeedsNeeded:
    """Number of pairs that show the smallest gain that matters, at the first look's level.

    `smallest_gain`: asked of the user, in the metric's unit. `have`: pairs that ran already.
    """
    if spread.sd is None:
        return SeedsNeeded(None, None, f"How many seeds are needed is {spread.text}.")
    if not smallest_gain > margin:
        return SeedsNeeded(
            None,
            None,
            f"A gain of {significant(smallest_gain)} cannot be shown to lie above the margin of "
            f"{significant(margin)}, however many seeds are run.",
        )
    level = schedule.level / candidates
    gain_phrase = f"a gain of {significant(smallest_gain)}"
    effect = (smallest_gain - margin) / spread.sd
    pairs = pairs_needed(effect, level=level, power=power)
    if pairs is None:
        text = f"Showing {gain_phrase} would take more than {MOST_PAIRS:,} pairs."
        return SeedsNeeded(None, None, text)
    further = max(0, pairs - have)
    missing = f"{counted(further, 'more pair')} of seeds" if further else "no more seeds"
    text = (
        f"Showing {gain_phrase} with {percent(power)} power takes {counted(pairs, 'pair')}, so "
        f"{missing}, going by {spread.text}."
    )
    return SeedsNeeded(pairs, further, text)


@lru_cache(maxsize=1024)
def pairs_needed(effect: float, *, level: float, power: float = POWER) -> int | None:
    """Fewest pairs that show a true `effect` with `power`; 3 at least.

    `effect`: in standard deviations, above 0. None beyond 100,000 pairs.
    """

    def enough(pairs: int) -> bool:
        return achieved_power(effect, pairs, level=level) >= power

    if enough(FEWEST_PAIRS):
        return FEWEST_PAIRS
    too_few, plenty = FEWEST_PAIRS, 2 * FEWEST_PAIRS
    while not enough(plenty):
        if plenty >= MOST_PAIRS:
            return None
        too_few, plenty = plenty, min(2 * plenty, MOST_PAIRS)
    while plenty - too_few > 1:
        middle = (too_few + plenty) // 2
        too_few, plenty = (too_few, middle) if enough(middle) else (middle, plenty)
    return plenty


@dataclass(frozen=True, slots=True)
class Prospect:
    """Prospect of a true gain under a schedule: rates in 0..1 and the mean number of pairs.

    `adopted`: rate at each look [K], not added up.
    """

    adopted: tuple[float, ...]
    rejected: float
    undecided: float
    mean_pairs: float


def prospect(
    schedule: Schedule,
    spread: Spread,
    *,
    gain: float,
    margin: float = 0.0,
    candidates: int = 1,
    draws: int = DRAWS,
    rng: np.random.Generator,
) -> Prospect | None:
    """Simulate a schedule for a true `gain` (metric's unit); None while the spread is unknown.

    This is the power of the whole schedule, all its looks and its early rejects included. Fewer
    draws are made where a schedule is very long.
    """
    if not spread.sd:
        return None
    effect = (gain - margin) / spread.sd
    last = schedule.looks[-1]
    draws = min(draws, max(FEWEST_DRAWS, _MOST_NORMALS // last))
    adopted, rejected, pairs = np.zeros(len(schedule.looks)), 0.0, 0.0
    block = max(1, _BLOCK // last)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        # The spread is 1 whatever the effect: a huge one must not swallow it.
        rows = rng.standard_normal((size, last))
        found = replay(rows, schedule, margin=-effect, candidates=candidates)
        for index, count in enumerate(schedule.looks):
            adopted[index] += int(((found.outcome == 1) & (found.pairs == count)).sum())
        rejected += int((found.outcome == -1).sum())
        pairs += int(found.pairs.sum())
    adopts = tuple(float(count / draws) for count in adopted)
    return Prospect(adopts, rejected / draws, 1 - sum(adopts) - rejected / draws, pairs / draws)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64).ravel()
    return numbers[np.isfinite(numbers)]
