"""Extrapolation of a learning curve, and the probability that it beats the best run.

An ensemble of parametric curves in the spirit of Domhan, Springenberg and Hutter, "Speeding Up
Automatic Hyperparameter Optimization of Deep Neural Networks by Extrapolation of Learning Curves",
IJCAI 2015. Every member is a constant and one falling function of the share of the run; the shape
parameter of the function runs over a grid, so each fit is a line through two numbers and the whole
ensemble costs microseconds.

No family of curves knows what a learning-rate schedule will do. So the forecast is corrected by
the study's own finished runs: what they became beyond what had been forecast for them at the same
point is what this run may become beyond its forecast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

MIN_POINTS = 4
MIN_FINISHED = 5
# Neighbouring evaluations err together: no more of them count as independent than these.
MOST_INDEPENDENT = 12
# Found on the AlgoPerf training logs (benchmarks/extrapolation.py): how much wider the ensemble's
# own deviation is taken, and how far beyond the largest surprise of a finished run a run may still
# get. With 1 and 1 more than a twentieth of the runs that ended in the best tenth were given up.
ENSEMBLE_INFLATION = 2.0
SURPRISE_INFLATION = 1.25

_POWERS = np.array([0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])
_TIMES = np.array([0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.4])


@dataclass(frozen=True, slots=True)
class Forecast:
    """The error (lower is better) at the end of a run: mean and deviation of the ensemble.

    `best` is the smallest error so far: a run's result is the best of its evaluations.
    """

    mean: float
    deviation: float
    best: float


def forecast(shares: Floats, errors: Floats) -> Forecast | None:
    """Forecast a run's last error from its beginning; None with fewer than four finite values.

    Args:
        shares: [T] how much of the run was done at each evaluation, above 0 to 1, rising.
        errors: [T] the metric there, oriented so that lower is better; non-finite ones are
            left out.
    """
    usable = np.isfinite(errors) & np.isfinite(shares) & (shares > 0)
    x, y = shares[usable], errors[usable]
    if len(x) < MIN_POINTS:
        return None
    # In units of the curve's own spread: errors near the largest float must not overflow.
    unit = float(np.ptp(y / 2)) * 2
    if not 0 < unit < math.inf:
        return Forecast(float(y[-1]), 0.0, float(y.min())) if unit == 0 else None
    ends, deviations, weights = _members(x, (y - y[-1]) / unit)
    mean = float(weights @ ends)
    spread = math.sqrt(float(weights @ (deviations**2 + (ends - mean) ** 2)))
    end, deviation = float(y[-1]) + unit * mean, unit * spread
    if not (math.isfinite(end) and math.isfinite(deviation)):
        return None  # beyond the largest float
    return Forecast(end, deviation, float(y.min()))


def chance_to_beat(
    best: float, run: Forecast, finished: Sequence[tuple[Forecast, float]]
) -> float | None:
    """The probability that a run ends below `best`; None when too few runs have finished.

    Args:
        best: the smallest error that a finished run ended with.
        run: its forecast.
        finished: of each finished run the forecast at the same share, and the error it ended
            with.
    """
    if run.best < best:
        return 1.0
    surprises = np.array([forecast.mean - end for forecast, end in finished])
    surprises = surprises[np.isfinite(surprises)]
    count = len(surprises)
    if count < MIN_FINISHED or not math.isfinite(run.mean):
        return None
    needed = run.mean - best
    if needed <= SURPRISE_INFLATION * max(float(surprises.max()), 0.0):
        return 1.0  # a run of this study did as much before
    middle = float(np.median(surprises))
    robust = 1.4826 * float(np.median(np.abs(surprises - middle)))
    deviation = max(robust, float(surprises.std()))
    scale = math.hypot(deviation * math.sqrt(1 + 1 / count), ENSEMBLE_INFLATION * run.deviation)
    if scale == 0:
        return 0.0
    return float(scipy.stats.t.sf((needed - float(surprises.mean())) / scale, df=count - 1))


def _members(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Of each curve the error at the end [K], its deviation [K] and its weight [K]."""
    functions, ends = _functions(x), _functions(np.ones(1))[:, 0]
    recent = x / x.sum()  # later evaluations tell more about the end
    centre, level = functions @ recent, float(recent @ y)
    offsets, residue = functions - centre[:, None], y - level
    square = (offsets**2) @ recent
    slope = np.where(square > 0, (offsets * residue) @ recent / np.maximum(square, 1e-300), 0.0)
    slope = np.maximum(slope, 0.0)  # none of them rises for ever
    count = len(x)
    independent = min(count, MOST_INDEPENDENT)
    errors = residue - slope[:, None] * offsets
    variance = (errors**2) @ recent * count / max(count - 2, 1) + 1e-12
    reach = (ends - centre) ** 2 / np.maximum(square * independent, 1e-300)
    deviations = np.sqrt(variance * (1 + 1 / independent + reach))
    logs = -independent / 2 * np.log(variance)
    weights = np.exp(logs - logs.max())
    return level + slope * (ends - centre), deviations, weights / weights.sum()


def _functions(x: Floats) -> Floats:
    """The falling functions [K, T]: logarithm, powers, exponentials and a line."""
    x = np.maximum(x, 1e-4)
    powers = (x[None, :] ** -_POWERS[:, None] - 1) / _POWERS[:, None]
    exponentials = np.exp(-x[None, :] / _TIMES[:, None])
    found: Floats = np.vstack([-np.log(x)[None, :], powers, exponentials, 1 - x[None, :]])
    return found
