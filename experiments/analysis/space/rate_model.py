"""Gaussian process of validation over the learning rate, from all trials.

Every trial counts, whatever its other hyperparameters: a smooth surface over the logarithm of the
rate and the positions of the others takes their part out and keeps its doubt. Source: Rasmussen
and Williams (2006), chapters 2 and 5; the grid of length scales is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Floats


@dataclass(frozen=True, slots=True, eq=False)
class RateModel:
    """A fitted surface over [N] decades of the rate and [N, D] positions of the others.

    factor, weights: lower Cholesky factor of the covariance, and its inverse times the errors.
    scale: variance of the surface; noise: deviation of one trial around it.
    """

    decades: Floats
    places: Floats
    across: float
    along: float
    factor: Floats
    weights: Floats
    scale: float
    noise: float

    def gain(self, by: float) -> tuple[Floats, Floats]:
        """Return [N] by how much each trial's error falls at another rate, and its doubt.

        by: decades; a move beyond the tried rates ends at the last of them.
        """
        moved = np.clip(self.decades + by, self.decades.min(), self.decades.max())
        change = self._covariance(moved) - self._covariance(self.decades)
        known = linalg.solve_triangular(self.factor, change.T, lower=True)
        prior = 2 - 2 * np.exp(-0.5 * ((moved - self.decades) / self.along) ** 2)
        variance = self.scale * np.maximum(prior - (known**2).sum(axis=0), 1e-12)
        return -(change @ self.weights), np.sqrt(variance)

    def _covariance(self, decades: Floats) -> Floats:
        return _kernel(
            _squares(decades[:, None], self.decades[:, None]),
            _squares(self.places, self.places),
            self.along,
            self.across,
        )


def fit_rate_model(decades: Floats, places: Floats, errors: Floats) -> RateModel:
    """Return the surface with the highest marginal likelihood on a small grid.

    decades [N], places [N, D], errors [N]: all finite.
    """
    centred = errors - errors.mean()
    apart = _squares(decades[:, None], decades[:, None])
    distances = _squares(places, places)
    scales = thresholds.RATE_MODEL_ACROSS if bool((distances > 0).any()) else (1.0,)
    found: tuple[float, RateModel] | None = None
    for along in thresholds.RATE_MODEL_ALONG:
        for across in scales:
            surface = _kernel(apart, distances, along, across)
            for noise in thresholds.RATE_MODEL_NOISE:
                factor = np.asarray(
                    np.linalg.cholesky(surface + noise * np.eye(errors.size)), dtype=np.float64
                )
                weights: Floats = linalg.cho_solve((factor, True), centred)
                scale = max(float(centred @ weights) / errors.size, 1e-12)
                # The scale is chosen in closed form; what is left of the log likelihood.
                likelihood = -0.5 * errors.size * math.log(scale)
                likelihood -= float(np.log(np.diag(factor)).sum())
                if found is None or likelihood > found[0]:
                    model = RateModel(
                        decades, places, across, along, factor, weights, scale,
                        math.sqrt(noise * scale),
                    )  # fmt: skip
                    found = likelihood, model
    assert found is not None
    return found[1]


def _squares(left: Floats, right: Floats) -> Floats:
    """Return [N, M] squared distances of rows."""
    found: Floats = ((left[:, None, :] - right[None, :, :]) ** 2).sum(axis=-1)
    return found


def _kernel(apart: Floats, distances: Floats, along: float, across: float) -> Floats:
    """Return [N, M] the covariance at squared distances in decades and in the other places."""
    found: Floats = np.exp(-0.5 * apart / along**2 - 0.5 * distances / across**2)
    return found
