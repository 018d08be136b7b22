from __future__ import annotations

import numpy as np
import pytest

from experiments.trials.table.queries.seed_deviations import SeedDeviation


@pytest.mark.parametrize("runs", [3, 10])
def test_one_in_twenty_pairs_that_differ_in_seeds_alone_lies_beyond(runs: int) -> None:
    scores = np.random.default_rng(0).normal(size=(20_000, runs + 2))
    spread = scores[:, :runs].std(axis=1, ddof=1)
    apart = np.abs(scores[:, -1] - scores[:, -2]) / spread
    bound = SeedDeviation(1.0, runs, 1, pooled=False).largest_by_seeds
    assert np.mean(apart > bound) == pytest.approx(0.05, abs=0.005)
