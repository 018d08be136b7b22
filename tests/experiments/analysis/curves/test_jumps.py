from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.jumps import largest_jump, reach_of, unstable_training
from experiments.analysis.curves.learning_curve import Curve, Direction, MetricKind
from experiments.analysis.diagnosis import Severity, Status


def collapse(count: int = 100, at: int = 50, *, left: float = 0.0, noise: float = 0.005) -> Curve:
    """A loss that falls, jumps by 1 at one evaluation and recovers but for what is left."""
    steps = np.arange(count)
    jump = np.where(steps >= at, left + (1 - left) * np.exp(-(steps - at) / 8), 0)
    rng = np.random.default_rng(4)
    return Curve.of(0.5 + 1.5 * np.exp(-steps / 10) + jump + rng.normal(0, noise, count))


def test_a_jump_is_named_with_its_step_and_what_it_cost() -> None:
    found = unstable_training(collapse(left=0.6), collapse())
    assert found.fired
    assert found.severity is Severity.WARNING
    assert found.title in {
        f"Validation and training loss jump to the worse at step {step}" for step in (50, 51)
    }
    assert "ends 62 % of that short" in found.detail


def test_a_jump_that_recovers_is_a_notice() -> None:
    found = unstable_training(collapse())
    assert found.severity is Severity.NOTICE
    assert found.title.startswith("Validation jumps to the worse")
    assert "regains that in full" in found.detail


def test_a_single_bad_evaluation_is_no_jump() -> None:
    values = collapse(at=1000).values
    values[60] = 5.0
    assert unstable_training(Curve.of(values)).status is Status.PASSED


def test_a_slow_rise_is_no_jump() -> None:
    steps = np.arange(100)
    curve = Curve.of(0.5 + 1.5 * np.exp(-steps / 10) + np.maximum(steps - 40, 0) * 0.03)
    assert unstable_training(curve).status is Status.PASSED


def test_a_steady_rise_is_no_jump_however_little_was_gained_before_it() -> None:
    curve = Curve.of([4.06, 4.02, 4.01, *(4.01 + 0.1 * np.arange(1, 38))])
    assert unstable_training(curve).status is Status.PASSED


def test_the_first_evaluations_vary_more_than_the_last() -> None:
    accuracy = 1 - 0.06 * 0.85 ** np.arange(80)
    accuracy[:6] = 0.935, 0.89, 0.95, 0.918, 0.965, 0.95
    metric = {"kind": MetricKind.METRIC, "direction": Direction.MAXIMIZE}
    assert unstable_training(Curve.of(accuracy), **metric).status is Status.PASSED


@pytest.mark.parametrize("together", [True, False])
def test_a_short_curve_jumps_only_where_training_loss_does(together: bool) -> None:
    short = Curve.of([2.0, 1.0, 0.8, 0.7, 0.65, 1.9, 1.8, 1.2, 0.9, 0.8, 0.7, 0.7])
    train = short if together else Curve.of(np.linspace(2, 0.1, 12))
    assert unstable_training(short, train).fired is together


def test_noise_makes_no_jump() -> None:
    curve = Curve.of(np.random.default_rng(5).normal(1, 0.2, 200))
    assert unstable_training(curve).status is Status.PASSED


def test_too_few_evaluations_are_said() -> None:
    assert "7 finite evaluations" in unstable_training(Curve.of(range(7))).detail


def test_a_jump_takes_two_evaluations_or_two_per_cent() -> None:
    assert [reach_of(count) for count in (10, 100, 101, 1000)] == [2, 2, 3, 20]


@given(
    st.lists(st.floats(), max_size=40),
    st.lists(st.floats(), max_size=40),
    st.sampled_from(list(Direction)),
    st.sampled_from(list(MetricKind)),
)
def test_no_curve_breaks_the_rule(
    values: list[float], train: list[float], direction: Direction, kind: MetricKind
) -> None:
    found = unstable_training(Curve.of(values), Curve.of(train), kind=kind, direction=direction)
    assert found.status in Status


def test_a_constant_has_no_jump() -> None:
    assert largest_jump(np.ones(20)) is None
