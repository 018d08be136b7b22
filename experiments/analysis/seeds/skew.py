"""Skewed differences: the one departure from the normal that a t test cannot shrug off.

With a long tail of bad replicates the sample mean and its standard error move together, so that
a t test adopts too easily: at 10 pairs and a level of 5 % in 13 % of cases for an exponential
tail. Hall's cubic transformation removes the skewness of the t statistic to second order; it is
monotone and inverts in closed form, so the bounds of an interval and its p-values agree (Hall,
"On the Removal of Skewness by Transformation", JRSS B 54, 1992).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

FEWEST_FOR_SKEW = 8
# At 10 % the test sees an exponential shape in 49 % of samples of 10 and 94 % of 30; it only
# adds a caution, so missing a skew costs more than crying wolf.
SKEW_LEVEL = 0.10

# Chosen by simulation (`benchmarks/skewed_tests.py`, table in docs/benchmarks.md). A sample of 10
# shows about half of the skewness of what it is drawn from, so a lean against the claim is
# enlarged; one in its favour is believed only in part. Below 10 differences the skewness of a
# sample is mostly chance, and the correction fades in proportion.
LEAN_AGAINST, LEAN_IN_FAVOUR = 1.3, 0.4
FULL_CORRECTION = 10
# One outlier among few differences would otherwise ask for a statistic that no sample reaches.
MOST_TIMES = 2.0
_NO_LEAN = 1e-7

Floats = NDArray[np.float64]


def skewness_of_mean(rows: Floats) -> Floats:
    """The estimated skewness of the mean of each row [R, N] of values that vary."""
    squares, cubes = _central_moments(rows, np.ptp(rows, axis=1, keepdims=True))
    return np.asarray(cubes / squares**1.5 / np.sqrt(rows.shape[1]))


def skewness_of_difference(left: Floats, right: Floats) -> Floats:
    """The estimated skewness [1] of the difference of the means of two samples [N], [M]."""
    scale = np.array([[max(np.ptp(left), np.ptp(right))]])
    (a2, a3), (b2, b3) = (_central_moments(side[None], scale) for side in (left, right))
    n, m = left.size, right.size
    return np.asarray((a3 / n**2 - b3 / m**2) / (a2 / n + b2 / m) ** 1.5)


def correction(skewness: Floats, count: int) -> Floats:
    """Share of the skewness of a mean [R] that enters the test that the mean is large.

    `count`: values behind each mean, of the smaller sample where there are two. Negative where a
    long tail lies on the bad side; of the opposite claim it is `correction(-skewness, count)`.
    """
    share = np.where(skewness < 0, LEAN_AGAINST, LEAN_IN_FAVOUR)
    return np.asarray(min(1.0, count / FULL_CORRECTION) * share * skewness)


def untransformed(quantile: Floats | float, corrected: Floats) -> Floats:
    """The t statistic that a quantile of Student's t, from 0 up, asks for under this skewness.

    At most twice the quantile.
    """
    lean = np.where(np.abs(corrected) < _NO_LEAN, _NO_LEAN, corrected)
    cube = 1 + lean * (quantile - lean / 6)
    # Beyond the root of the cube the transformation has no more to give.
    hall = np.where(cube > 0, 3 / lean * (np.cbrt(cube) - 1), np.inf)
    found = np.minimum(hall, MOST_TIMES * quantile)
    return np.asarray(np.where(np.abs(corrected) < _NO_LEAN, quantile, found))


def transformed(statistic: Floats, corrected: Floats) -> Floats:
    """The inverse of `untransformed`: t statistics that have Student's distribution nearly."""
    lean = np.where(np.abs(corrected) < _NO_LEAN, _NO_LEAN, corrected)
    # As far as the root of the cube.
    step = np.maximum(lean * statistic, -3.0)
    hall = step / lean * (1 + step / 3 + step**2 / 27) + lean / 6
    found = np.maximum(hall, statistic / MOST_TIMES)
    return np.asarray(np.where(np.abs(corrected) < _NO_LEAN, statistic, found))


def _central_moments(rows: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Second and third central moments of rows [R, N] of values divided by a scale [R, 1]."""
    deviations = (rows - rows.mean(axis=1, keepdims=True)) / scale
    return (deviations**2).mean(axis=1), (deviations**3).mean(axis=1)


@dataclass(frozen=True, slots=True)
class Skew:
    """`flagged` is None when the differences are too few to judge; `text` is empty when calm."""

    flagged: bool | None
    skewness: float | None
    p: float | None
    text: str


def judge_skew(gains: NDArray[np.float64]) -> Skew:
    """Test whether the gains [N] lean to one side (D'Agostino 1970, from 8 values on).

    A long tail of bad replicates makes adopts, a long tail of good ones makes rejects wrong more
    often than the level says.
    """
    if gains.size < FEWEST_FOR_SKEW:
        text = (
            f"{gains.size} differences are too few to tell whether they are skewed; with a long "
            "tail on the bad side an adopt can err in some 13 % of cases at a level of 5 %."
        )
        return Skew(None, None, None, text)
    spread = np.ptp(gains)
    if not spread > 0 or not np.isfinite(spread):
        return Skew(None, None, None, "")
    result = scipy.stats.skewtest((gains - gains.mean()) / spread)
    skewness = float(scipy.stats.skew(gains / spread, bias=False))
    p = float(result.pvalue)
    if not p < SKEW_LEVEL:
        return Skew(False, skewness, p, "")
    side, outcome = ("worse", "an adopt") if skewness < 0 else ("better", "a reject")
    text = (
        f"The differences are skewed (skewness {skewness:+.1f}, a few far on the {side} side). "
        f"The bounds are corrected for it; {outcome} can still err in some 8 % of cases at a "
        "level of 5 %."
    )
    return Skew(True, skewness, p, text)
