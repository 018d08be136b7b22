"""A smooth surface through scattered scores: what two hyperparameters do together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.curves.learning_curve import Floats

LEAST_WEIGHT = 0.35  # of a trial at the very place: below it a place is left empty
WIDEST, NARROWEST = 0.16, 0.045


def smooth_surface(x: Floats, y: Floats, scores: Floats, *, cells: int = 28) -> Floats:
    """Return [cells, cells] the mean score around each place, rows along y; nan where none is.

    The places lie evenly from 0 to 1, both ends included.

    A Nadaraya-Watson mean with a Gaussian kernel whose width shrinks with the number of trials
    (Scott's rule in two dimensions, n to the power -1/6). `x`, `y` [N]: positions 0..1 in the
    ranges; `scores` [N]. Trials with a nan in any of them are left out.
    """
    usable = np.isfinite(x) & np.isfinite(y) & np.isfinite(scores)
    surface = np.full((cells, cells), np.nan)
    count = int(usable.sum())
    if not count:
        return surface
    width = float(np.clip(0.29 * count ** (-1 / 6), NARROWEST, WIDEST))
    grid = np.linspace(0.0, 1.0, cells)
    across, up = _kernel(grid, x[usable], width), _kernel(grid, y[usable], width)
    weights = up @ across.T
    sums = (up * scores[usable]) @ across.T
    supported = weights >= LEAST_WEIGHT
    surface[supported] = sums[supported] / weights[supported]
    return surface


def _kernel(grid: Floats, at: Floats, width: float) -> NDArray[np.float64]:
    kernel: NDArray[np.float64] = np.exp(-0.5 * ((grid[:, None] - at[None, :]) / width) ** 2)
    return kernel
