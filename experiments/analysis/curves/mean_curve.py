"""The mean of several seeds' learning curves, with its spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Steps = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MeanCurve:
    """At each of `steps` [T]: `mean` [T], one sample standard deviation below and above it (`low`,
    `high` [T]), and how many curves it rests on, `count` [T].
    """

    steps: NDArray[np.float64] = field(repr=False)
    mean: NDArray[np.float64] = field(repr=False)
    low: NDArray[np.float64] = field(repr=False)
    high: NDArray[np.float64] = field(repr=False)
    count: NDArray[np.int64] = field(repr=False)


def mean_curve(
    curves: Sequence[tuple[Steps, NDArray[np.float64]]], *, points: int = 600
) -> MeanCurve:
    """Average curves (steps [T_i], values [T_i]) at the steps that they have, `points` at most.

    A curve that has no point at a step counts there by the line between its neighbours, and not
    at all before its first point, after its last, and where it is not finite. Of several values
    at one step the last counts. Steps with fewer than two curves are left out.
    """
    ordered = [_in_order(steps, values) for steps, values in curves]
    at = np.unique(np.concatenate([np.empty(0), *(steps for steps, _ in ordered)]))
    if len(at) > points:
        at = at[np.unique(np.linspace(0, len(at) - 1, points).round().astype(int))]
    # [curves, T]; NaN passes through the interpolation to both sides of a broken point.
    rows = [np.interp(at, steps, values, left=np.nan, right=np.nan) for steps, values in ordered]
    matrix = np.array(rows).reshape(len(ordered), len(at))
    finite = np.isfinite(matrix)
    count = finite.sum(axis=0)
    shared = count >= 2
    values, weights, number = matrix[:, shared], finite[:, shared], count[shared]
    solid = np.where(weights, values, 0.0)
    mean = solid.sum(axis=0) / number
    spread = np.where(weights, values - mean, 0.0)
    deviation = np.sqrt((spread**2).sum(axis=0) / (number - 1))
    return MeanCurve(at[shared], mean, mean - deviation, mean + deviation, number)


def _in_order(
    steps: Steps, values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distinct steps from small to large, each with its last value."""
    found, last = np.unique(steps.astype(np.float64)[::-1], return_index=True)
    return found, values[::-1][last]
