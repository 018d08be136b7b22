"""Estimate and confidence interval after a sequential stop, by stage-wise ordering.

A comparison that may stop early stops when its mean happens to be high, so the mean of what ran
flatters and the interval around it covers too little. Outcomes are therefore ordered as the
design can produce them: an adopt at an earlier look is more extreme than one at a later look, and
within a look the larger t statistic is. The estimate is the gain at which half of all outcomes
are at least as extreme (median-unbiased), the bounds those at which a share of 2.5 % is
(Tsiatis, Rosner and Mehta, "Exact Confidence Intervals Following a Group Sequential Test",
Biometrics 40, 1984; Jennison and Turnbull, "Group Sequential Methods", 2000, chapter 8).

The variance is unknown here and the test corrects for skewness, so the probabilities have no
recursion in one variable. They are integrated over simulated normal paths with a fixed seed, each
followed by its mirror image. Given a hypothetical gain, the mean square about it is sufficient
for the variance, so every path is scaled to the mean square observed: at the first look this is
Student's interval exactly. Where a large gain goes on after an early look because its spread
happened to be large, that approximation is still too sure; so the interval shown reaches at least
as far as Student's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import sqrt

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import stdtrit

from experiments.analysis.seeds.comparison import Sample, bounds
from experiments.analysis.seeds.skew import correction, transformed, untransformed

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
FULL_ADJUSTMENT = 20  # degrees of freedom
DRAWS = 20_000  # and as many mirrored
SEED = 0
_BLOCK = 64  # draws of a path that are held at a time
_FEWEST_ADOPTS = 100  # paths that a share is taken of
_FARTHEST = 60.0  # standard errors between an estimate and its bounds, where a search gives up


@dataclass(frozen=True, slots=True)
class SequentialEstimate:
    """Median-unbiased gain and its confidence interval, in the unit of the gains."""

    estimate: float
    lower: float
    upper: float
    confidence: float


def estimate_after_stop(
    sample: Sample,
    *,
    margin: float,
    level: float,
    looks: Sequence[int],
    unpaired: bool = False,
    confidence: float = CONFIDENCE,
) -> SequentialEstimate:
    """Estimate the gain of a comparison that was tested at `looks` and stopped at the last.

    The interval is the hull of `stage_wise` and of Student's, corrected for skewness. The estimate
    is that of `stage_wise` from 21 pairs on; below, where its variance is hardly known and it errs
    low (by .15 SD at looks 3, 5, 7 and a true gain of 3 SD), only a share of the adjustment of the
    mean is made, which keeps the median bias under .1 SD.
    """
    lower, upper = _students(sample, confidence)
    if len(looks) == 1:
        return SequentialEstimate(float(sample.mean[0]), lower, upper, confidence)
    ordered = stage_wise(
        sample, margin=margin, level=level, looks=looks, unpaired=unpaired, confidence=confidence
    )
    mean = float(sample.mean[0])
    share = min(1.0, sample.degrees / FULL_ADJUSTMENT)
    return replace(
        ordered,
        estimate=mean + share * (ordered.estimate - mean),
        lower=min(ordered.lower, lower),
        upper=max(ordered.upper, upper),
    )


def gain_given_adopt(
    sample: Sample, *, margin: float, level: float, looks: Sequence[int], unpaired: bool = False
) -> float:
    """The gain of a comparison that was adopted at the last of `looks`, given that it was.

    An adopt is selected for its high mean: of small true gains only the lucky comparisons are
    adopted. This is the gain at which half of the comparisons that are adopted at this look reach
    at least its t statistic (conditionally median-unbiased: Zollner and Pritchard, "Overcoming the
    Winner's Curse", AJHG 80, 2007, for genome scans). Where the t statistic lies hardly above what
    an adopt asks for, it is far below the mean and very unsure, so it ends at the lower bound of
    the 95 % interval.
    """
    mean, error = float(sample.mean[0]), float(sample.error[0])
    spread = error * sqrt(looks[-1])
    stopped = _Stopped(
        gain=(mean - margin) / spread,
        skewness=float(sample.skewness[0]),
        degrees=sample.degrees,
        paths=_paths(tuple(looks), level, unpaired),
    )
    lowest = estimate_after_stop(
        sample, margin=margin, level=level, looks=looks, unpaired=unpaired
    ).lower
    return max(margin + spread * stopped.given_adopt(), lowest)


def _students(sample: Sample, confidence: float) -> tuple[float, float]:
    found = bounds(sample, margin=0.0, level=(1 - confidence) / 2)
    return float(found.lower[0]), float(found.upper[0])


def stage_wise(
    sample: Sample,
    *,
    margin: float,
    level: float,
    looks: Sequence[int],
    unpaired: bool = False,
    confidence: float = CONFIDENCE,
) -> SequentialEstimate:
    """The estimate and the interval of the stage-wise ordering alone.

    `sample`: of one comparison. `margin`: what each look tested against. `level`: one-sided,
    of each look. `looks`: pairs at each look up to this one, two at least.
    `unpaired`: `sample` is of two arms.
    """
    mean, error = float(sample.mean[0]), float(sample.error[0])
    spread = error * sqrt(looks[-1])
    stopped = _Stopped(
        gain=(mean - margin) / spread,
        skewness=float(sample.skewness[0]),
        degrees=sample.degrees,
        paths=_paths(tuple(looks), level, unpaired),
    )
    tail = (1 - confidence) / 2
    lower, upper = stopped.lower(tail), -stopped.mirrored().lower(tail)
    middle = min(max(stopped.median(), lower), upper)
    return SequentialEstimate(
        estimate=margin + spread * middle,
        lower=margin + spread * lower,
        upper=margin + spread * upper,
        confidence=confidence,
    )


@dataclass(frozen=True, slots=True)
class _Paths:
    """Simulated paths [D] of a design up to its last look, in standard deviations of the gains.

    `adopts`, `rejects` [K - 1, D]: gains above and below which a path stops at each earlier look.
    At the last look: `adopts_last`, gains above which it adopts; `pivot`, its t statistic about
    the truth; `corrected`, the same corrected for skewness as an adopt is; `scale`, the root mean
    square about the truth.
    """

    count: int
    adopts: Floats
    rejects: Floats
    adopts_last: Floats
    pivot: Floats
    corrected: Floats
    scale: Floats

    def more_extreme(self, gain: float, statistic: float, pivots: Floats) -> float:
        """The share of paths with a true gain that adopt earlier, or reach at least `statistic`.

        `gain`: in root mean squares about the truth.
        """
        gains, reached = gain * self.scale, pivots >= statistic
        adopted = 0
        for above, below in zip(self.adopts, self.rejects, strict=True):
            adopts = gains > above
            adopted += int(adopts.sum())
            going = ~adopts & (gains >= below)
            gains = np.where(going, gains, np.nan)  # compares false from here on
            reached = reached & going
        return (adopted + int(reached.sum())) / gains.size

    def of_adopts(self, gain: float, statistic: float) -> float | None:
        """The share that reach at least `statistic`, of paths that adopt at the last look.

        `gain`: in root mean squares about the truth. None where hardly any adopts.
        """
        gains = gain * self.scale
        adopting = gains > self.adopts_last
        for above, below in zip(self.adopts, self.rejects, strict=True):
            adopting &= (gains <= above) & (gains >= below)
        count = int(adopting.sum())
        if count < _FEWEST_ADOPTS:
            return None
        return int((adopting & (self.pivot >= statistic)).sum()) / count


@dataclass(frozen=True, slots=True)
class _Stopped:
    """One comparison at its stop, its gain over the margin in standard deviations."""

    gain: float
    skewness: float
    degrees: float
    paths: _Paths

    def mirrored(self) -> _Stopped:
        return _Stopped(-self.gain, -self.skewness, self.degrees, self.paths)

    def lower(self, tail: float) -> float:
        """The gain at which a share `tail` of outcomes is as extreme."""
        lean = correction(np.array([self.skewness]), self.paths.count)

        def excess(gain: float) -> float:
            statistic = float(transformed(np.array([self._statistic(gain)]), lean)[0])
            return self._extreme(gain, statistic, self.paths.corrected) - tail

        return self._root(excess)

    def median(self) -> float:
        """The gain at which half of all outcomes are at least as extreme."""
        return self._root(
            lambda gain: self._extreme(gain, self._statistic(gain), self.paths.pivot) - 0.5
        )

    def given_adopt(self) -> float:
        """The gain at which half of the adopts at this look are at least as extreme.

        Where hardly any comparison of a smaller gain is adopted at all, that gain.
        """
        low = high = self.gain
        step = self._error
        while low > self.gain - _FARTHEST * step:
            share = self.paths.of_adopts(low / self._scale(low), self._statistic(low))
            if share is None or share < 0.5:
                break
            low, high = low - step, low
        while high - low > 1e-2 * step:
            middle = (low + high) / 2
            share = self.paths.of_adopts(middle / self._scale(middle), self._statistic(middle))
            low, high = (low, middle) if share is not None and share >= 0.5 else (middle, high)
        return high

    @property
    def _error(self) -> float:
        return 1 / sqrt(self.paths.count)

    def _scale(self, gain: float) -> float:
        square = self.degrees + self.paths.count * (self.gain - gain) ** 2
        return sqrt(square / (self.degrees + 1))

    def _statistic(self, gain: float) -> float:
        return (self.gain - gain) / self._error

    def _extreme(self, gain: float, statistic: float, pivots: Floats) -> float:
        return self.paths.more_extreme(gain / self._scale(gain), statistic, pivots)

    def _root(self, excess: Callable[[float], float]) -> float:
        step = self._error
        while step < _FARTHEST * self._error:
            low, high = self.gain - step, self.gain + step
            if excess(low) < 0 < excess(high):
                return float(scipy.optimize.bisect(excess, low, high, xtol=1e-3 * self._error))
            step *= 2
        return self.gain


@lru_cache(maxsize=4)
def _paths(looks: tuple[int, ...], level: float, unpaired: bool) -> _Paths:
    """Simulate the paths of a design up to the last of `looks`."""
    adopts, rejects = [], []
    last: tuple[Floats, Floats, Floats, int] | None = None
    for count, last in zip(looks, _samples(looks, unpaired), strict=True):
        mean, error, skewness, degrees = last
        quantile = float(stdtrit(degrees, 1 - level))
        adopts.append(error * untransformed(quantile, correction(skewness, count)) - mean)
        rejects.append(-error * untransformed(quantile, correction(-skewness, count)) - mean)
    assert last is not None
    mean, error, skewness, degrees = last
    square = degrees * error**2 * looks[-1] + looks[-1] * mean**2
    return _Paths(
        count=looks[-1],
        adopts=np.array(adopts[:-1]),
        rejects=np.array(rejects[:-1]),
        adopts_last=adopts[-1],
        pivot=mean / error,
        corrected=transformed(mean / error, correction(skewness, looks[-1])),
        scale=np.sqrt(square / (degrees + 1)),
    )


def _samples(looks: tuple[int, ...], unpaired: bool) -> list[tuple[Floats, Floats, Floats, int]]:
    """Mean, standard error, skewness of the mean [2 D] and degrees of freedom at each look.

    Of draws with mean 0 and standard deviation 1, the second half the first one's mirror image;
    `unpaired`: of the difference of two arms whose draws have variance 1/2.
    """
    rng = np.random.default_rng(SEED)
    arms = 2 if unpaired else 1
    sums = np.zeros((3, arms, DRAWS))
    found, before = [], 0
    for count in looks:
        for start in range(before, count, _BLOCK):
            block = rng.standard_normal((arms, DRAWS, min(_BLOCK, count - start)))
            for power in (1, 2, 3):
                sums[power - 1] += (block**power).sum(axis=2)
        before = count
        mean, second, third = sums / count
        squares = second - mean**2
        cubes = third - 3 * mean * second + 2 * mean**3
        sign = np.array([1.0, -1.0])[:arms, None]
        average = (sign * mean).sum(axis=0) / sqrt(arms)
        error = np.sqrt(squares.sum(axis=0) / (arms * (count - 1)))
        skewness = (sign * cubes).sum(axis=0) / squares.sum(axis=0) ** 1.5 / sqrt(count)
        found.append(
            (
                np.concatenate([average, -average]),
                np.concatenate([error, error]),
                np.concatenate([skewness, -skewness]),
                arms * (count - 1),
            )
        )
    return found
