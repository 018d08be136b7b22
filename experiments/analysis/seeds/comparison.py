"""The test of a gain against a margin, and the interval that decides.

One-sample one-sided t on the differences of pairs; Welch's t for material without common seeds.
A percentile bootstrap is no alternative at these sizes: its nominal 95 % interval covers 80 % at
3 seeds, 89 % at 5, 91 % at 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from experiments.analysis.seeds.looks import Schedule

Floats = NDArray[np.float64]

# The square of a smaller spread is lost to underflow.
SMALLEST_SPREAD = 1e-60


@dataclass(frozen=True, slots=True)
class Comparison:
    """Mean gain and the bounds of the two one-sided tests, one entry per comparison [R].

    `lower` decides adopt (above the margin), `upper` decides reject (below it); together they are
    the two-sided interval of confidence 1 - 2 * level. `p_adopt` and `p_reject` are the one-sided
    p-values. All four are NaN where the gains do not vary.
    """

    mean: Floats
    lower: Floats
    upper: Floats
    p_adopt: Floats
    p_reject: Floats


def paired_t(gains: ArrayLike, *, margin: float, level: float) -> Comparison:
    """One-sample t of finite gains [R, N] (or [N]) against the margin, each row by itself.

    Both tests are `scipy.stats.ttest_1samp`, alternative "greater" for adopt, "less" for reject.
    """
    rows = np.atleast_2d(np.asarray(gains, dtype=np.float64))
    mean = rows.mean(axis=1)
    lower, upper, p_adopt, p_reject = np.full((4, len(rows)), np.nan)
    varied = ~all_equal(rows)
    if varied.any():
        up = stats.ttest_1samp(rows[varied], margin, axis=1, alternative="greater")
        down = stats.ttest_1samp(rows[varied], margin, axis=1, alternative="less")
        lower[varied] = up.confidence_interval(1 - level).low
        upper[varied] = down.confidence_interval(1 - level).high
        p_adopt[varied], p_reject[varied] = up.pvalue, down.pvalue
    return Comparison(mean, lower, upper, p_adopt, p_reject)


def welch_t(
    candidate: ArrayLike, baseline: ArrayLike, *, margin: float, level: float
) -> Comparison:
    """Welch's t of two unpaired samples [N], [M], both turned so that more is better."""
    left = np.asarray(candidate, dtype=np.float64)
    right = np.asarray(baseline, dtype=np.float64)
    mean = np.array([left.mean() - right.mean()])
    scale = float(max(np.abs(left).max(), np.abs(right).max()))
    if all_equal(left[None], scale)[0] and all_equal(right[None], scale)[0]:
        return Comparison(mean, *np.full((4, 1), np.nan))
    # Measured from a value of the steadier arm: a constant arm far from zero loses its precision.
    left = left - margin
    origin = left[0] if np.ptp(left) < np.ptp(right) else right[0]
    left, right = left - origin, right - origin
    up = stats.ttest_ind(left, right, equal_var=False, alternative="greater")
    down = stats.ttest_ind(left, right, equal_var=False, alternative="less")
    return Comparison(
        mean=mean,
        lower=np.array([up.confidence_interval(1 - level).low + margin]),
        upper=np.array([down.confidence_interval(1 - level).high + margin]),
        p_adopt=np.array([up.pvalue]),
        p_reject=np.array([down.pvalue]),
    )


def all_equal(rows: Floats, scale: float = 0.0) -> NDArray[np.bool_]:
    """Which rows [R, N] hold one number only, up to rounding.

    `scale`: size of the scores whose differences the rows are. Differences of scores near 0.9
    carry rounding errors of 1e-16 and would otherwise pass for an infinitely sure result.
    """
    spread = rows.max(axis=1) - rows.min(axis=1)
    size = np.maximum(np.abs(rows).max(axis=1), scale)
    rounding = 32 * np.finfo(np.float64).eps * size
    return np.asarray(spread <= np.maximum(rounding, SMALLEST_SPREAD))


@dataclass(frozen=True, slots=True)
class Replay:
    """Outcome of each replayed comparison [R].

    `outcome`: 1 adopt, -1 reject, 0 undecided at the last look. `pairs`: pairs used.
    """

    outcome: NDArray[np.int8]
    pairs: NDArray[np.int64]


def replay(
    gains: ArrayLike, schedule: Schedule, *, margin: float = 0.0, candidates: int = 1
) -> Replay:
    """What following the schedule would have said of each row of finite gains [R, N].

    N is at least the last look. Used to measure error rates: the same test and the same looks as
    a verdict, many comparisons at once. Raises ValueError when N is too small.
    """
    rows = np.atleast_2d(np.asarray(gains, dtype=np.float64))
    if rows.shape[1] < schedule.looks[-1]:
        raise ValueError(f"{rows.shape[1]} pairs do not reach the look at {schedule.looks[-1]}.")
    outcome = np.zeros(len(rows), dtype=np.int8)
    pairs = np.full(len(rows), schedule.looks[-1], dtype=np.int64)
    for count in schedule.looks:
        going = np.flatnonzero(outcome == 0)
        if going.size == 0:
            break
        result = paired_t(rows[going, :count], margin=margin, level=schedule.level / candidates)
        said = (result.lower > margin).astype(np.int8) - (result.upper < margin).astype(np.int8)
        outcome[going] = said
        pairs[going] = count
    return Replay(outcome, pairs)
