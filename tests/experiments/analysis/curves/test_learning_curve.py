from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.analysis.curves.learning_curve import (
    Curve,
    Direction,
    MetricKind,
    at,
    is_bounded,
    median,
    observed_resolution,
    smooth,
    step_noise,
    tail,
    thin,
    to_errors,
    trend,
    window_of,
)

finite = st.floats(-1e6, 1e6)


def test_steps_and_values_must_be_equally_long() -> None:
    with pytest.raises(ValueError, match="equally long"):
        Curve(np.arange(3.0), np.arange(4.0))


def test_a_step_must_be_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        Curve(np.array([0.0, math.nan]), np.zeros(2))


def test_logging_order_is_kept_until_asked_otherwise() -> None:
    curve = Curve.of([1.0, 2.0, 3.0], [5, 1, 3])
    assert curve.steps.tolist() == [5, 1, 3]
    assert curve.in_step_order().values.tolist() == [2, 3, 1]


def test_of_a_step_logged_twice_the_later_value_stands() -> None:
    curve = Curve.of([1.0, 2.0, 9.0], [0, 1, 0]).in_step_order()
    assert curve.steps.tolist() == [0, 1]
    assert curve.values.tolist() == [9, 2]


def test_non_finite_values_can_be_left_out() -> None:
    curve = Curve.of([1.0, math.nan, math.inf, 2.0]).finite()
    assert curve.steps.tolist() == [0, 3]


def test_a_curve_can_be_cut_at_a_step() -> None:
    assert len(Curve.of(np.arange(10.0)).until(4)) == 5


@pytest.mark.parametrize(("length", "window"), [(0, 3), (8, 3), (60, 3), (80, 5), (1000, 51)])
def test_the_window_is_a_twentieth_odd_and_at_least_three(length: int, window: int) -> None:
    assert window_of(length) == window


@given(st.lists(finite, min_size=1, max_size=60))
def test_smoothing_stays_within_the_values(values: list[float]) -> None:
    smoothed = smooth(np.array(values))
    assert smoothed.size == len(values)
    assert smoothed.min() >= min(values)
    assert smoothed.max() <= max(values)


def test_smoothing_removes_a_single_spike() -> None:
    values = np.zeros(20)
    values[10] = 100.0
    assert smooth(values).max() == 0.0


@pytest.mark.parametrize("count", [3, 8, 60, 80, 400])
def test_smoothing_keeps_the_first_value_so_that_gains_count_from_it(count: int) -> None:
    values = 2 * np.exp(-np.arange(count) / 3)
    smoothed = smooth(values)
    assert smoothed[0] == values[0]
    assert (np.diff(smoothed) <= 0).all()


def test_smoothing_takes_no_single_last_value_for_the_best() -> None:
    values = np.r_[np.ones(19), 0.1]
    assert smooth(values).min() == 1.0


def test_the_tail_ignores_a_last_spike() -> None:
    assert tail(np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0])) == 1.0


def test_noise_is_recovered_from_one_step_changes() -> None:
    values = np.linspace(5, 0, 4000) + np.random.default_rng(0).normal(0, 0.3, 4000)
    assert step_noise(values) == pytest.approx(0.3, rel=0.1)


def test_noise_is_never_below_the_resolution() -> None:
    assert step_noise(np.ones(50), resolution=0.01) == 0.01


def test_a_bounded_metric_is_turned_into_one_minus_it() -> None:
    values = np.array([0.2, 0.9])
    assert to_errors(values, Direction.MAXIMIZE, bounded=True).tolist() == pytest.approx(
        [0.8, 0.1]
    )
    assert to_errors(values, Direction.MAXIMIZE).tolist() == [-0.2, -0.9]
    assert to_errors(values, Direction.MINIMIZE).tolist() == [0.2, 0.9]


def test_bounds_are_read_off_a_metric_but_never_off_a_loss() -> None:
    curve = Curve.of([0.1, 0.5, math.nan])
    assert is_bounded(curve, MetricKind.METRIC)
    assert not is_bounded(curve, MetricKind.LOSS)
    assert not is_bounded(Curve.of([0.5, 1.5]), MetricKind.METRIC)
    assert not is_bounded(curve, MetricKind.METRIC, bounded=False)


@given(
    st.lists(
        st.tuples(st.integers(0, 50), finite), min_size=3, max_size=40, unique_by=lambda p: p[0]
    )
)
def test_the_trend_is_the_theil_sen_line_of_scipy(points: list[tuple[int, float]]) -> None:
    ordered = sorted(points)
    x = np.array([float(step) for step, _ in ordered])
    y = np.array([value for _, value in ordered])
    if x[0] == x[-1] or np.ptp(y) == 0:
        return
    ours, theirs = trend(x, y), stats.theilslopes(y, x, alpha=0.9)
    assert ours.slope == pytest.approx(theirs[0])
    assert ours.intercept == pytest.approx(theirs[1])
    assert (ours.low, ours.high) == pytest.approx((theirs[2], theirs[3]))


def test_a_constant_or_a_point_has_no_trend() -> None:
    assert trend(np.arange(9.0), np.ones(9)).slope == 0.0
    assert trend(np.array([1.0]), np.array([3.0])).intercept == 3.0


def test_long_curves_are_thinned_to_block_medians_up_to_their_end() -> None:
    steps, values = thin(np.arange(1000.0), np.arange(1000.0), 60)
    assert values.size <= 60
    assert steps[-1] == values[-1] > 980


def test_a_value_between_points_is_interpolated() -> None:
    assert at(Curve.of([0.0, 1.0], [0, 10]), 5) == 0.5
    assert math.isnan(at(Curve.of([]), 5))


@given(st.lists(finite, min_size=1, max_size=30))
def test_the_quick_median_is_numpys(values: list[float]) -> None:
    assert median(np.array(values)) == pytest.approx(float(np.median(values)))


def test_an_empty_row_has_no_median() -> None:
    with pytest.raises(ValueError, match="no median"):
        median(np.array([]))


def test_the_step_of_a_metric_that_moves_by_examples_is_seen() -> None:
    counts = np.random.default_rng(2).integers(300, 345, size=60)
    assert math.isclose(observed_resolution(counts / 360), 1 / 360)


@given(st.lists(st.floats(), max_size=30))
@settings(max_examples=50)
def test_a_step_is_never_larger_than_the_spread_of_the_values(values: list[float]) -> None:
    row = np.array(values, dtype=np.float64)
    found = observed_resolution(row)
    finite = row[np.isfinite(row)]
    assert found == 0 or 0 < found <= finite.max() - finite.min()


def test_a_metric_of_two_values_moves_by_their_distance() -> None:
    assert observed_resolution(np.array([0.75] + [0.5] * 7)) == 0.25


def test_values_on_no_grid_have_no_step() -> None:
    assert observed_resolution(np.array([0.1, 0.25, 0.27, 0.9])) == 0
    assert observed_resolution(np.array([0.5, 0.5, 0.75])) == 0
