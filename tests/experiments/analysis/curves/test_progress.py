from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.learning_curve import Curve, Direction, MetricKind
from experiments.analysis.curves.progress import (
    ending,
    improvement_share,
    not_decayed,
    progress,
    saturated,
    still_improving,
)
from experiments.analysis.diagnosis import Status

RNG = np.random.default_rng(0)
FALLING = Curve.of(np.exp(-np.arange(100) / 60) + RNG.normal(0, 0.002, 100))
SETTLED = Curve.of(np.exp(-np.arange(100) / 5) + 0.3 + RNG.normal(0, 0.002, 100))


def test_a_curve_that_still_falls_is_still_improving() -> None:
    assert still_improving(FALLING).fired
    assert not saturated(FALLING).fired


def test_a_curve_that_settled_early_is_saturated() -> None:
    assert saturated(SETTLED).fired
    assert not still_improving(SETTLED).fired
    assert float(str(saturated(SETTLED).evidence["settled_share"])) < 0.5


def test_a_growing_accuracy_is_still_improving() -> None:
    accuracy = Curve(FALLING.steps, 1 - FALLING.values / 2)
    kind, direction = MetricKind.METRIC, Direction.MAXIMIZE
    assert still_improving(accuracy, kind=kind, direction=direction).fired


def test_noise_without_any_trend_is_not_improvement() -> None:
    rng = np.random.default_rng(3)
    alarms = sum(still_improving(Curve.of(rng.normal(size=100))).fired for _ in range(100))
    assert alarms <= 15


def test_a_pruned_curve_is_never_called_still_improving() -> None:
    diagnosis = still_improving(FALLING, pruned=True)
    assert diagnosis.status is Status.NOT_CHECKABLE
    assert "stopped on the way" in diagnosis.detail
    assert saturated(SETTLED, pruned=True).status is Status.NOT_CHECKABLE


def test_below_eight_evaluations_there_is_no_diagnosis() -> None:
    assert still_improving(Curve.of([7, 6, 5, 4, 3, 2, 1])).status is Status.NOT_CHECKABLE


def test_a_gain_below_the_metrics_resolution_does_not_count() -> None:
    values = np.linspace(0.1, 0.0, 40) * 0.001
    assert still_improving(Curve.of(values)).fired
    assert not still_improving(Curve.of(values), resolution=0.01).fired


def test_an_undecayed_learning_rate_is_said_to_make_it_unreliable() -> None:
    rate = Curve.of(np.ones(100))
    diagnosis = still_improving(FALLING, learning_rate=rate)
    assert diagnosis.evidence["learning_rate_undecayed"] is True
    assert "had not decayed" in diagnosis.detail


def test_a_rate_that_ends_below_half_its_highest_has_decayed() -> None:
    assert not not_decayed(Curve.of(np.linspace(1, 0.1, 10)))
    assert not_decayed(Curve.of([0.1, 1.0, 0.6]))
    assert not not_decayed(Curve.of([]))


def test_both_are_told_from_one_reading() -> None:
    assert progress(FALLING) == (still_improving(FALLING), saturated(FALLING))


def test_the_best_steps_share_counts_steps_not_evaluations() -> None:
    curve = Curve.of([3.0, 1.0, 2.0], [0, 10, 100])
    assert improvement_share(curve, Direction.MINIMIZE) == 0.1


@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_scale_and_shift_do_not_matter(scale: float, shift: float) -> None:
    for curve in (FALLING, SETTLED):
        moved = Curve(curve.steps, shift + scale * curve.values)
        assert still_improving(moved).fired is still_improving(curve).fired


@given(
    st.lists(st.floats(), max_size=50),
    st.sampled_from(list(MetricKind)),
    st.sampled_from(list(Direction)),
    st.floats(0, 1),
)
def test_no_curve_breaks_the_rules(
    values: list[float], kind: MetricKind, direction: Direction, resolution: float
) -> None:
    found = progress(Curve.of(values), kind=kind, direction=direction, resolution=resolution)
    assert all(diagnosis.status in Status for diagnosis in found)


@given(st.floats(-1e9, 1e9), st.integers(8, 60))
def test_a_constant_neither_improves_nor_saturates(value: float, count: int) -> None:
    curve = Curve.of(np.full(count, value))
    assert not any(diagnosis.fired for diagnosis in progress(curve))


@given(st.lists(st.integers(0, 5), min_size=8, max_size=20))
def test_repeated_steps_are_no_harm(steps: list[int]) -> None:
    curve = Curve.of(np.arange(len(steps), dtype=float), steps)
    ending(curve, direction=Direction.MINIMIZE)


def test_a_long_past_fall_and_a_lucky_end_are_not_still_improving() -> None:
    # The second half gained 4 % of all, yet nothing in its last half.
    settled = np.interp(np.arange(100), [0, 50, 70, 99], [2.0, 1.04, 1.0, 1.0])
    assert still_improving(Curve.of(settled)).status is Status.PASSED
    # Nothing for long, then 1.5 %.
    late = np.interp(np.arange(100), [0, 40, 90, 99], [2.0, 1.0, 1.0, 0.985])
    assert still_improving(Curve.of(late)).status is Status.PASSED


def test_an_end_that_gave_its_gain_back_is_not_still_improving() -> None:
    noise = 0.003 * np.sin(np.arange(60) * 2.1)
    turns = np.interp(np.arange(60), [0, 30, 46, 52, 59], [2.0, 1.1, 1.1, 0.9, 1.2])
    assert still_improving(Curve.of(turns + noise)).status is Status.PASSED
    # No trend in the last quarter: its best evaluations lie behind.
    level = np.interp(np.arange(60), [0, 30, 44, 59], [2.0, 1.1, 1.0, 1.0])
    level[50:53] = 0.94
    assert still_improving(Curve.of(level)).status is Status.PASSED


def test_a_metric_that_never_improved_has_not_stopped_improving() -> None:
    accuracy = 0.55 + np.random.default_rng(0).choice([-0.002, 0, 0.002], 26)
    metric = {"kind": MetricKind.METRIC, "direction": Direction.MAXIMIZE}
    assert saturated(Curve.of(accuracy), **metric).status is Status.PASSED


def test_a_handful_of_evaluations_at_the_best_is_not_long_before_the_end() -> None:
    settled = Curve.of([1.0, 0.6, 0.5, 0.42, 0.41, 0.43, 0.42, 0.41, 0.43, 0.42])
    assert saturated(settled).status is Status.PASSED


def test_a_coarse_metric_settles_at_its_best_not_a_step_before() -> None:
    accuracy = Curve.of([0.0] * 4 + [0.25, 0.5, *[0.75] * 30])
    found = saturated(
        accuracy, kind=MetricKind.METRIC, direction=Direction.MAXIMIZE, resolution=0.2499
    )
    assert found.title == "Validation stops improving at step 6"
    two = Curve.of([0.5, 0.5, *[1.0] * 18])  # a metric of two values has gained its one step
    found = saturated(two, kind=MetricKind.METRIC, direction=Direction.MAXIMIZE, resolution=0.5)
    assert found.title == "Validation stops improving at step 2"


def test_a_curve_that_fell_back_from_its_early_best_is_not_saturated() -> None:
    collapsed = np.interp(np.arange(100), [0, 20, 30, 35, 99], [2.0, 0.5, 0.5, 1.5, 1.5])
    assert saturated(Curve.of(collapsed)).status is Status.PASSED


def test_a_fall_that_goes_on_through_both_is_still_improving() -> None:
    found = still_improving(Curve.of(np.interp(np.arange(100), [0, 50, 99], [2.0, 1.0, 0.95])))
    assert found.fired
    assert found.title == "Validation still improves at the end, step 99"
