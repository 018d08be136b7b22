from __future__ import annotations

import numpy as np
import pytest

from experiments.analysis.space.surface import smooth_surface


def test_a_plane_of_scores_is_found_again() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random(4000), rng.random(4000)
    surface = smooth_surface(x, y, 2 * x - y, cells=10)
    middles = np.linspace(0, 1, 10)
    expected = 2 * middles[None, :] - middles[:, None]
    inner = np.s_[2:8, 2:8]  # at the rim a mean leans inwards
    assert np.abs(surface - expected)[inner].max() < 0.05


def test_places_far_from_every_trial_are_left_empty() -> None:
    surface = smooth_surface(np.array([0.1]), np.array([0.1]), np.array([0.7]), cells=10)
    assert surface[1, 1] == pytest.approx(0.7)
    assert np.isnan(surface[9, 9])


def test_infeasible_trials_and_missing_values_do_not_count() -> None:
    nan = np.nan
    x, y = np.array([0.5, 0.5, nan]), np.array([0.5, 0.5, 0.5])
    surface = smooth_surface(x, y, np.array([1.0, nan, 9.0]), cells=5)
    assert np.nanmax(surface) == pytest.approx(1.0)
    assert np.isnan(smooth_surface(x, y, np.full(3, nan))).all()
