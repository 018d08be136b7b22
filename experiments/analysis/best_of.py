"""What the best of several tries is worth: expected maxima and the luck in them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import integrate, stats


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
    cdf = stats.norm.cdf(grid) ** count
    # E max = integral of (1 - F^n) over the positives minus that of F^n over the negatives.
    positive = grid >= 0
    return float(
        integrate.trapezoid(1 - cdf[positive], grid[positive])
        - integrate.trapezoid(cdf[~positive | (grid == 0)], grid[~positive | (grid == 0)])
    )
