"""A learning curve and the few robust numbers that all curve rules are made of.

Everything here is oriented later: a curve holds values as logged. Rules turn them into errors
(lower is better) with `to_errors`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy import special

from experiments.analysis import thresholds

Floats: TypeAlias = NDArray[np.float64]


class MetricKind(StrEnum):
    """Kind of a declared series."""

    LOSS = "loss"
    METRIC = "metric"
    GRADIENT_NORM = "gradient_norm"
    LEARNING_RATE = "learning_rate"
    OTHER = "other"


class Direction(StrEnum):
    """Direction in which a series improves."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Values of one series in the order they were logged. Equal only to itself.

    steps: [T] training steps, finite. values: [T] float64, non-finite values are data.
    Raises ValueError if the two are not one-dimensional and equally long or a step is not finite.
    """

    steps: Floats
    values: Floats

    def __post_init__(self) -> None:
        steps = np.asarray(self.steps, dtype=np.float64)
        values = np.asarray(self.values, dtype=np.float64)
        if steps.ndim != 1 or steps.shape != values.shape:
            raise ValueError(
                f"steps {steps.shape} and values {values.shape} must be equally long rows"
            )
        if not np.isfinite(steps).all():
            raise ValueError("every step must be a finite number")
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "values", values)

    @classmethod
    def of(cls, values: ArrayLike, steps: ArrayLike | None = None) -> Curve:
        """Return the curve of these values, at steps 0, 1, 2, ... unless given."""
        row = np.asarray(values, dtype=np.float64)
        at = np.arange(row.size) if steps is None else steps
        return cls(np.asarray(at, dtype=np.float64), row)

    def __len__(self) -> int:
        return int(self.steps.size)

    def in_step_order(self) -> Curve:
        """Return the curve sorted by step; of a step logged twice, the later value stands."""
        if len(self) < 2 or bool((np.diff(self.steps) > 0).all()):
            return self
        order = np.argsort(self.steps, kind="stable")
        steps = self.steps[order]
        last = np.append(steps[1:] != steps[:-1], True)
        return Curve(steps[last], self.values[order][last])

    def finite(self) -> Curve:
        """Return the curve without its non-finite values."""
        keep = np.isfinite(self.values)
        return self if bool(keep.all()) else Curve(self.steps[keep], self.values[keep])

    def until(self, step: float) -> Curve:
        """Return the part up to and including a step."""
        keep = self.steps <= step
        return Curve(self.steps[keep], self.values[keep])


def is_bounded(curve: Curve, kind: MetricKind, bounded: bool | None = None) -> bool:
    """Test whether a metric lies in [0, 1]: as declared, else as far as its finite values show."""
    if bounded is not None:
        return bounded
    values = curve.values[np.isfinite(curve.values)]
    inside = bool(values.size) and float(values.min()) >= 0 and float(values.max()) <= 1
    return kind is MetricKind.METRIC and inside


def to_errors(values: Floats, direction: Direction, *, bounded: bool = False) -> Floats:
    """Return values turned so that lower is better: 1 - metric if bounded, else negated."""
    if direction is Direction.MINIMIZE:
        return values
    return 1.0 - values if bounded else -values


def window_of(length: int) -> int:
    """Return the smoothing window for a curve of this many points: odd, at least three."""
    window = max(thresholds.SMOOTHING_MINIMUM, int(length * thresholds.SMOOTHING_SHARE))
    return window + 1 if window % 2 == 0 else window


def smooth(values: Floats, window: int | None = None) -> Floats:
    """Return the centred rolling median [T]; the first value stays as it is.

    Towards the start the window shrinks: what a run gained counts from its first evaluation. At
    the end it mirrors, so that no single last value is taken for the best.
    """
    if values.size < 3:
        return values
    width = min(window or window_of(values.size), values.size - (values.size + 1) % 2)
    filtered: Floats = scipy.ndimage.median_filter(values, size=width, mode="mirror")
    for place in range(width // 2):
        filtered[place] = median(values[: 2 * place + 1])
    return filtered


def median(values: Floats) -> float:
    """Return the median of one row without NaN; several times as quick as NumPy's on short rows.

    Equal to numpy.median otherwise. Raises ValueError for an empty row.
    """
    half, odd = divmod(values.size, 2)
    if values.size == 0:
        raise ValueError("no values, no median")
    if odd:
        return float(np.partition(values, half)[half])
    parts = np.partition(values, (half - 1, half))
    return float(parts[half - 1] + parts[half]) / 2


def tail(values: Floats, window: int | None = None) -> float:
    """Return the median of the last window of points."""
    return median(values[-(window or window_of(values.size)) :])


def mad(values: Floats) -> float:
    """Return the median absolute deviation scaled to a normal standard deviation."""
    if values.size == 0:
        return 0.0
    return thresholds.MAD_TO_SD * median(np.abs(values - median(values)))


def step_noise(values: Floats, resolution: float = 0.0) -> float:
    """Return the standard deviation of one evaluation from one-step changes, robustly.

    Never below the metric's resolution: what cannot be told apart is noise.
    """
    if values.size < 2:
        return resolution
    with np.errstate(over="ignore", invalid="ignore"):
        noise = mad(np.diff(values)) / math.sqrt(2)
    return max(noise, resolution) if math.isfinite(noise) else math.inf


def without_repeats(values: Floats) -> Floats:
    """Return the values without those equal to the one before.

    A frozen model, or an evaluation logged twice, shows no noise.
    """
    return values[np.append(True, values[1:] != values[:-1])] if values.size else values


def noise_beside_trend(values: Floats, resolution: float = 0.0) -> float:
    """Return `step_noise`; of a short curve the same from changes of the changes, if less.

    Where ten evaluations fall steeply and rise again, nearly all of a one-step change is trend;
    a second difference is free of a straight one. Its variance is six times one evaluation's.
    Long curves have enough small changes, and wander in a way that second differences miss.
    """
    noise = step_noise(values, resolution)
    if not 3 <= values.size < thresholds.SHORT_CURVE:
        return noise
    with np.errstate(over="ignore", invalid="ignore"):
        bend = mad(np.diff(values, 2)) / math.sqrt(6)
    return max(min(noise, bend), resolution) if math.isfinite(bend) else noise


def observed_resolution(values: Floats) -> float:
    """Return the step of a metric that moves in equal steps, as a share of n examples does.

    0 unless there are at least three distinct finite values whose distances are all whole
    multiples of the smallest one; two distinct ones in eight evaluations lie one step apart. For
    metrics whose resolution was not declared.
    """
    finite = values[np.isfinite(values)]
    distinct = np.unique(finite)
    if distinct.size == 2 and finite.size >= thresholds.MIN_EVALUATIONS:
        return float(distinct[1] - distinct[0])
    if distinct.size < 3:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        gaps = np.diff(distinct)
        # Equal values that were computed in two ways differ by rounding.
        gaps = gaps[gaps > 1e-9 * max(abs(float(distinct[0])), abs(float(distinct[-1])))]
        if gaps.size < 2 or not bool(np.isfinite(gaps).all()):
            return 0.0
        steps = gaps / gaps.min()
        on_grid = bool((np.abs(steps - np.round(steps)) < 1e-3 * steps).all())
    return float(gaps.min()) if on_grid else 0.0


@dataclass(frozen=True, slots=True)
class Trend:
    """A robust line: slope per step with its confidence limits, and the intercept."""

    slope: float
    low: float
    high: float
    intercept: float


def thin(steps: Floats, values: Floats, points: int) -> tuple[Floats, Floats]:
    """Return at most so many points: medians of equal blocks, the remainder left off in front."""
    block = math.ceil(values.size / points)
    if block <= 1:
        return steps, values
    count = values.size // block
    start = values.size - count * block
    return (
        np.median(steps[start:].reshape(count, block), axis=1),
        np.median(values[start:].reshape(count, block), axis=1),
    )


def trend(steps: Floats, values: Floats, confidence: float = 0.90) -> Trend:
    """Return the Theil-Sen line through the points with its confidence interval.

    Long curves are thinned to block medians first. Needs two distinct steps; with fewer, or on a
    constant, the slope is 0. Source: Theil (1950), Sen (1968). Equal to scipy.stats.theilslopes,
    which spends several times as long on checking its arguments.
    """
    x, y = thin(steps, values, thresholds.THEIL_SEN_POINTS)
    if x.size < 2 or x[0] == x[-1] or y.min() == y.max():
        return Trend(0.0, 0.0, 0.0, float(np.median(y)) if y.size else 0.0)
    left, right = _pairs(x.size)
    with np.errstate(all="ignore"):
        run = x[right] - x[left]
        slopes = np.sort((y[right] - y[left])[run > 0] / run[run > 0])
        slope = median(slopes)
        intercept = median(y) - slope * median(x)
    low, high = _slope_ranks(x, y, slopes.size, confidence)
    return Trend(slope, float(slopes[low]), float(slopes[high]), intercept)


@lru_cache(maxsize=thresholds.THEIL_SEN_POINTS)
def _pairs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    left, right = np.triu_indices(count, 1)
    return left, right


def _slope_ranks(x: Floats, y: Floats, slopes: int, confidence: float) -> tuple[int, int]:
    """Return the ranks of the slopes that limit the interval: Sen (1968), equation 2.6."""
    count = x.size
    variance = count * (count - 1) * (2 * count + 5)
    for row in (x, y):
        ties = np.unique(row, return_counts=True)[1]
        variance -= int((ties * (ties - 1) * (2 * ties + 5)).sum())
    reach = special.ndtri((1 + confidence) / 2) * math.sqrt(max(variance, 0) / 18)
    low = max(round((slopes - reach) / 2) - 1, 0)
    return low, min(round((slopes + reach) / 2), slopes - 1)


def at(curve: Curve, step: float) -> float:
    """Return the value of a finite, ordered curve at a step, linear between its points."""
    return float(np.interp(step, curve.steps, curve.values)) if len(curve) else math.nan


def first_at_best(errors: Floats) -> int:
    """Return the position of the lowest error, the first one on ties."""
    return int(np.argmin(errors))
