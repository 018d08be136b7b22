from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc

from benchmarks import discrepancy
from workers.search.quasi_random import HaltonSampler


@pytest.mark.parametrize(("dimensions", "known"), [(2, 0.0290), (4, 0.0666), (7, 0.165)])
def test_the_mlcommons_construction_is_as_uneven_as_the_original(
    dimensions: int, known: float
) -> None:
    """Known: measured on the points of algoperf/halton.py itself."""
    points = discrepancy.mlcommons(dimensions, 20)
    assert points.shape == (20, dimensions) and points.min() >= 0 and points.max() < 1
    assert qmc.discrepancy(points) == pytest.approx(known, rel=0.01)


def test_our_points_are_those_of_scipy() -> None:
    drawn = discrepancy.ours(HaltonSampler)(3, 20, 4)
    rng = np.random.default_rng(4)
    assert np.array_equal(drawn, qmc.Halton(3, scramble=True, rng=rng).random(20))


def test_a_table_is_short_when_ours_are_no_better_than_random() -> None:
    good = discrepancy.rows_of("Halton", discrepancy.ours(HaltonSampler), 2, 20, 2)
    assert good[-1].met is True and len(good) == len(discrepancy.DRAWS) + 1
    bad = discrepancy.rows_of("random", discrepancy.at_random, 2, 20, 20)
    assert bad[-1].met is False
