from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc

from experiments.analysis.space.axis import Axis, AxisKind
from experiments.analysis.space.interactions import interaction_share, interaction_shares


def points(count: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    drawn = qmc.Halton(2, scramble=True, rng=np.random.default_rng(seed)).random(count)
    noise = np.random.default_rng(seed + 1).normal(0, 0.02, count)
    return drawn[:, 0], drawn[:, 1], noise


def test_a_weight_decay_whose_best_value_moves_with_the_size_interacts() -> None:
    size, decay, noise = points()
    share = interaction_share(size, decay, -((decay - size) ** 2) + noise)
    assert 0.3 < share < 1


def test_two_that_each_matter_alone_hardly_interact() -> None:
    size, decay, noise = points()
    assert interaction_share(size, decay, -((decay - 0.3) ** 2) + size + noise) < 0.01


def test_noise_rarely_looks_like_an_interaction() -> None:
    seen = 0
    for seed in range(100):
        size, decay, noise = points(24, seed)
        seen += interaction_share(size, decay, noise) > 0
    assert seen <= 5


@pytest.mark.parametrize("scores", [np.zeros(60), np.full(60, 1e300), np.arange(60) * 1e-300])
def test_scores_that_say_nothing_have_no_interaction(scores: np.ndarray) -> None:
    size, decay, _ = points()
    with np.errstate(all="ignore"):
        assert not interaction_share(size, decay, scores) > 0.5


def test_pairs_of_a_search_are_told_where_enough_trials_have_both() -> None:
    size, decay, noise = points()
    scores = -((decay - size) ** 2) + noise
    feasible = np.ones(60, dtype=bool)
    rare = np.where(np.arange(60) < 10, size, np.nan)
    axes = [
        Axis("size", size, scores, feasible),
        Axis("weight_decay", decay, scores, feasible),
        Axis("momentum", rare, scores, feasible),
        Axis("kind", size, scores, feasible, AxisKind.CATEGORICAL, choices=("a", "b")),
    ]
    found = interaction_shares(axes)
    assert set(found) == {("size", "weight_decay")} and found["size", "weight_decay"] > 0.3
