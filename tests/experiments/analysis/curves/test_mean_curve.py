from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.analysis.curves.mean_curve import mean_curve


def curve(*points: tuple[int, float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([s for s, _ in points]), np.array([v for _, v in points], dtype=np.float64)


def test_the_mean_lies_between_and_the_band_is_one_deviation_wide() -> None:
    found = mean_curve([curve((0, 1.0), (1, 4.0)), curve((0, 3.0), (1, 4.0))])
    assert found.mean.tolist() == [2.0, 4.0]
    assert found.high - found.mean == pytest.approx([np.sqrt(2), 0.0])
    assert found.mean - found.low == pytest.approx([np.sqrt(2), 0.0])
    assert found.count.tolist() == [2, 2]


def test_a_curve_without_a_point_counts_by_the_line_between_its_neighbours() -> None:
    found = mean_curve([curve((0, 0.0), (10, 10.0)), curve((0, 0.0), (5, 7.0), (10, 10.0))])
    assert found.steps.tolist() == [0, 5, 10]
    assert found.mean.tolist() == [0.0, 6.0, 10.0]


def test_no_curve_counts_before_its_start_or_after_its_end() -> None:
    found = mean_curve([curve((0, 1.0), (1, 1.0), (2, 1.0)), curve((1, 3.0), (2, 3.0), (3, 3.0))])
    assert found.steps.tolist() == [1, 2]


def test_a_value_that_is_not_finite_counts_for_nothing() -> None:
    broken = curve((0, 1.0), (1, np.nan), (2, np.inf))
    found = mean_curve([broken, curve((0, 3.0), (1, 5.0), (2, 1.0)), curve((0, 2.0), (1, 7.0))])
    assert found.mean.tolist() == [2.0, 6.0]
    assert found.count.tolist() == [3, 2]


def test_the_last_of_several_values_at_a_step_counts() -> None:
    found = mean_curve([curve((1, 9.0), (1, 2.0)), curve((1, 4.0))])
    assert found.mean.tolist() == [3.0]


def test_one_curve_or_none_has_no_mean() -> None:
    assert not len(mean_curve([]).steps)
    assert not len(mean_curve([curve((0, 1.0))]).steps)


@settings(max_examples=30)
@given(st.integers(2, 5), st.integers(1, 3000), st.integers(2, 50))
def test_long_curves_are_averaged_at_few_steps_their_ends_kept(
    count: int, length: int, points: int
) -> None:
    steps = np.arange(length)
    found = mean_curve([(steps, steps * 1.0 + i) for i in range(count)], points=points)
    assert len(found.steps) <= points
    assert (found.steps[0], found.steps[-1]) == (0, length - 1) or points < 2
    assert found.mean == pytest.approx(found.steps + (count - 1) / 2)
    assert np.all(found.low <= found.mean) and np.all(found.mean <= found.high)
