from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.best_of import (
    expected_best_curve,
    expected_best_unbiased,
    normal_maximum,
)
from experiments.analysis.curves.learning_curve import Direction

# Exact, by enumerating all combinations of these seven scores.
VALUES = [0.70, 0.72, 0.75, 0.75, 0.80, 0.81, 0.86]
UNBIASED = {1: 0.77, 2: 0.803809523809524, 3: 0.822857142857143, 4: 0.8357142857142857}

numbers = st.lists(st.floats(-100, 100), min_size=1, max_size=6)


@pytest.mark.parametrize(("draws", "expected"), UNBIASED.items())
def test_the_unbiased_estimator_equals_all_combinations(draws: int, expected: float) -> None:
    assert expected_best_unbiased(VALUES, draws) == pytest.approx(expected, abs=1e-12)


@given(numbers, st.integers(1, 6), st.sampled_from(list(Direction)))
def test_the_estimator_equals_enumeration(
    values: list[float], draws: int, direction: Direction
) -> None:
    best = max if direction is Direction.MAXIMIZE else min
    if draws <= len(values):
        subsets = [best(combination) for combination in itertools.combinations(values, draws)]
        assert expected_best_unbiased(values, draws, direction) == pytest.approx(
            np.mean(subsets), abs=1e-9
        )


@pytest.mark.parametrize(
    ("count", "expected"), [(5, 1.163), (10, 1.539), (20, 1.867), (50, 2.249), (100, 2.508)]
)
def test_the_expected_maximum_of_normals(count: int, expected: float) -> None:
    assert normal_maximum(count) == pytest.approx(expected, abs=0.001)


def test_a_single_draw_has_no_luck() -> None:
    assert normal_maximum(1) == 0.0
    with pytest.raises(ValueError, match="at least one"):
        normal_maximum(0)


def test_more_draws_than_values_are_refused() -> None:
    with pytest.raises(ValueError, match="best of 8"):
        expected_best_unbiased(VALUES, 8)


def test_values_that_are_no_numbers_are_left_out() -> None:
    assert expected_best_unbiased([*VALUES, float("nan")], 7) == pytest.approx(0.86)


def test_the_curve_rises_from_the_mean_to_the_best() -> None:
    curve = expected_best_curve(VALUES)
    assert curve[0] == pytest.approx(0.77)
    assert curve[-1] == pytest.approx(0.86)
    assert (np.diff(curve) >= 0).all()


def test_ten_thousand_scores_are_no_overflow() -> None:
    values = np.arange(10_000.0)
    assert expected_best_unbiased(values, 5_000) == pytest.approx(9998.0, abs=0.1)
