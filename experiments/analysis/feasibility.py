"""Which trials failed to train, how many, where they lie, and what that says about the space.

Source: Tuning Playbook, "Identifying bad search space boundaries" and "How can we tell if our
search space is dense enough / infeasible"; the numbers are ours.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from experiments.analysis import thresholds
from experiments.analysis.learning_curve import Direction, Floats
from experiments.analysis.space import Axis, better_first


def infeasibility_threshold(axis: Axis) -> float | None:
    """Return the lowest position above which nearly all trials are infeasible; None if none.

    "Nearly all": 90 % of at least three trials.
    """
    present = np.isfinite(axis.unit)
    unit, failed = axis.unit[present], ~axis.usable[present]
    order = np.argsort(unit, kind="stable")
    position, bad = unit[order], failed[order]
    # At each distinct position: how many trials at or above it, and how many of them failed.
    first = np.append(True, position[1:] != position[:-1])
    above = np.arange(position.size, 0, -1)
    failures = np.cumsum(bad[::-1])[::-1]
    edge = (
        first
        & (above >= thresholds.INSTABILITY_MIN_TRIALS)
        & (failures >= thresholds.INSTABILITY_SHARE * above)
        & bad
    )
    return float(position[edge][0]) if bool(edge.any()) else None


def best_is_near_infeasible(axis: Axis, direction: Direction) -> bool:
    """Whether the best trial lies within half a decade below the edge of infeasibility.

    Meaningful on a log scale only (learning rates); False otherwise.
    """
    distance = decades_to_infeasible(axis, direction)
    return distance is not None and 0 <= distance <= thresholds.INSTABILITY_DECADES


def decades_to_infeasible(axis: Axis, direction: Direction) -> float | None:
    """Return the decades from the best trial up to the edge of infeasibility; None if none."""
    edge = infeasibility_threshold(axis)
    usable = axis.usable
    if edge is None or not axis.log or axis.low <= 0 or not bool(usable.any()):
        return None
    errors = better_first(axis.scores, direction)
    best = float(axis.unit[usable][np.argmin(errors[usable])])
    return (edge - best) * math.log10(axis.high / axis.low)


def feasible_trials(
    final_losses: Floats, *, failed: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Return [N] whether each finished trial's final loss (lower is better) counts as trained.

    Not so if it failed, is non-finite, or lies above the median by ten robust deviations.
    """
    finite = np.isfinite(final_losses)
    if failed is not None:
        finite = finite & ~failed
    if not bool(finite.any()):
        return finite
    middle = float(np.median(final_losses[finite]))
    spread = thresholds.MAD_TO_SD * float(np.median(np.abs(final_losses[finite] - middle)))
    if spread == 0:
        return finite
    with np.errstate(invalid="ignore"):
        kept: NDArray[np.bool_] = finite & (
            final_losses <= middle + thresholds.INFEASIBLE_MADS * spread
        )
    return kept
