"""Importance of hyperparameters from the trials alone: PED-ANOVA of one hyperparameter at a time.

Source: Watanabe et al. (2023), "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
Arbitrary Subspaces", equation 8, with densities on a grid as Optuna's evaluator has them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

LEAST_TRIALS = 10
BEST = 0.1  # what matters is to be among the best tenth
_GRID = 50
_TINY = 1e-12


def importance_shares(
    units: Mapping[str, NDArray[np.float64]],
    scores: NDArray[np.float64],
    *,
    maximize: bool,
    choices: Mapping[str, int],
    region: float = 1.0,
) -> dict[str, float]:
    """Share of each hyperparameter in what decides who is among the best tenth; together 1.

    Args:
        units: [N] position of each trial in the range, 0..1; NaN where a trial lacks it.
        scores: [N]; trials without a finite one are left out.
        choices: number of choices of those that are a set of values.
        region: look within this share of the best trials alone.

    Returns:
        0 for all where nothing decides, and for one that too few trials have.
    """
    order = np.flatnonzero(np.isfinite(scores))
    order = order[np.argsort(-scores[order] if maximize else scores[order], kind="stable")]
    inside = order[: max(2, math.ceil(region * order.size))]
    top = order[: max(2, math.ceil(BEST * order.size))]
    found = {
        name: _divergence(_known(row[top]), _known(row[inside]), choices.get(name, 0))
        for name, row in units.items()
    }
    total = sum(found.values())
    return {name: value / total if total > 0 else 0.0 for name, value in found.items()}


def _known(row: NDArray[np.float64]) -> NDArray[np.float64]:
    return row[np.isfinite(row)]


def _divergence(top: NDArray[np.float64], inside: NDArray[np.float64], choices: int) -> float:
    """Pearson divergence of the best trials' density from that of all."""
    if top.size < 2 or np.ptp(inside) == 0:
        return 0.0
    density = _shares(inside, choices) if choices else _smooth(inside)
    best = _shares(top, choices) if choices else _smooth(top)
    return float(density @ ((best + _TINY) / (density + _TINY) - 1) ** 2)


def _shares(row: NDArray[np.float64], choices: int) -> NDArray[np.float64]:
    """Share of each choice, one of them added to each as a prior."""
    places = np.clip((row * choices).astype(np.int64), 0, choices - 1)
    counts = np.bincount(places, minlength=choices) + 1 / choices
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares


def _smooth(row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Density on a grid of 0..1, Gaussian kernels of Scott's width, adding up to 1."""
    grid = (np.arange(_GRID) + 0.5) / _GRID
    spread = min(float(np.std(row)), float(np.subtract(*np.percentile(row, [75, 25]))) / 1.34)
    width = max(1.059 * spread * row.size**-0.2, 0.5 / _GRID)
    counts = np.bincount(np.clip((row * _GRID).astype(np.int64), 0, _GRID - 1), minlength=_GRID)
    kernels = np.exp(-0.5 * ((grid[:, None] - grid) / width) ** 2)
    kernels /= kernels.sum(axis=0)
    density = kernels @ counts
    shares: NDArray[np.float64] = density / density.sum()
    return shares
