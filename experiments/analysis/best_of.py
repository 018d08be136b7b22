"""Expected best of several tries, and the luck in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy import special

from experiments.analysis.curves.learning_curve import Direction, Floats


@lru_cache(maxsize=4096)
def normal_maximum(count: int) -> float:
    """Return the expected maximum of `count` standard normal draws, in standard deviations.

    Raises ValueError below one draw. Source: order statistics, by numerical integration.
    """
    if count < 1:
        raise ValueError("the maximum needs at least one draw")
    if count == 1:
        return 0.0
    grid = np.linspace(-9.0, 9.0, 4001)
    density = count * scipy.stats.norm.pdf(grid) * scipy.stats.norm.cdf(grid) ** (count - 1)
    return float(scipy.integrate.trapezoid(grid * density, grid))


def expected_best_unbiased(
    values: ArrayLike, draws: int, direction: Direction = Direction.MAXIMIZE
) -> float:
    """Return the expected best of so many of the values, drawn without replacement.

    The average over all combinations; the unbiased estimator of Tang et al. (2020), "Showing
    your work doesn't always work". Raises ValueError unless 1 <= draws <= number of values.
    """
    ordered = _worst_first(values, direction)
    count = ordered.size
    if not 1 <= draws <= count:
        raise ValueError(f"the best of {draws} cannot be told from {count} values")
    rank = np.arange(1, count + 1)
    # Chance that the value of this rank is the best: C(rank - 1, draws - 1) / C(count, draws).
    weights = np.where(
        rank >= draws,
        np.exp(
            _log_choose(np.maximum(rank - 1, draws - 1), draws - 1) - _log_choose(count, draws)
        ),
        0.0,
    )
    return _turned_back(float(ordered @ weights), direction)


def expected_best_curve(
    values: ArrayLike,
    direction: Direction = Direction.MAXIMIZE,
    draws: Sequence[int] | None = None,
) -> Floats:
    """Return the unbiased expected best of so many of the B finite values, for each of `draws`.

    [B] the best of 1, 2, ..., B without `draws`. Raises ValueError for a draw outside 1..B.
    """
    finite = _finite(values)
    ordered = _worst_first(finite, direction)
    count = ordered.size
    wanted = range(1, count + 1) if draws is None else draws
    if any(not 1 <= drawn <= count for drawn in wanted):
        raise ValueError(f"the best of so many cannot be told from {count} values")
    # log k! for k = 0..B: each curve point then is a few look-ups, not B gamma functions.
    factorials = special.gammaln(np.arange(count + 1) + 1.0)
    best = np.empty(len(wanted))
    for place, drawn in enumerate(wanted):
        rank = np.arange(drawn, count + 1)
        # C(rank - 1, each - 1) / C(count, each): chance that the value of this rank is the best.
        weights = np.exp(
            factorials[rank - 1]
            - factorials[rank - drawn]
            - factorials[drawn - 1]
            - (factorials[count] - factorials[drawn] - factorials[count - drawn])
        )
        best[place] = float(ordered[drawn - 1 :] @ weights)
    return best if direction is Direction.MAXIMIZE else -best


def _finite(values: ArrayLike) -> Floats:
    row = np.asarray(values, dtype=np.float64)
    finite: Floats = row[np.isfinite(row)]
    return finite


def _worst_first(values: ArrayLike, direction: Direction) -> Floats:
    finite = _finite(values)
    return np.sort(finite if direction is Direction.MAXIMIZE else -finite)


def _turned_back(value: float, direction: Direction) -> float:
    return value if direction is Direction.MAXIMIZE else -value


def _log_choose(whole: ArrayLike, part: ArrayLike) -> NDArray[np.float64]:
    n, k = np.asarray(whole, dtype=np.float64), np.asarray(part, dtype=np.float64)
    result: NDArray[np.float64] = (
        special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    )
    return result
