"""Thinning of charts with thousands of trials."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def leading_and_even(
    scores: NDArray[np.float64], most: int, *, maximize: bool
) -> NDArray[np.bool_]:
    """Return [N] whether a trial is drawn: all, or the best third and an even draw of the rest.

    `scores` [N] may be NaN for infeasible trials; they count as the worst.
    """
    if scores.size <= most:
        return np.ones(scores.size, dtype=bool)
    worth = np.where(np.isfinite(scores), scores if maximize else -scores, -np.inf)
    order = np.argsort(-worth, kind="stable")
    leading = most // 3
    rest = order[leading:]
    places = np.linspace(0, rest.size - 1, most - leading).astype(np.int64)
    shown = np.zeros(scores.size, dtype=bool)
    shown[order[:leading]] = True
    shown[rest[places]] = True
    return shown


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return the positions of at most `most` of `count` things, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def counts_up_to(most: int, marks: int = 60) -> list[int]:
    """Return whole numbers 1..most, all of the small ones and ever fewer of the large."""
    if most < 1:
        return []
    steps = np.geomspace(1, most, marks)
    return sorted({1, most, *(math.floor(step) for step in steps)})
