from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.evaluations import (
    early_instability_unseen,
    one_example,
    periodic_validation,
    regular_evaluations,
)
from experiments.analysis.curves.learning_curve import Curve
from experiments.analysis.diagnosis import Status

RNG = np.random.default_rng(0)
DESCENT = np.exp(-np.arange(200) / 40)


@pytest.mark.parametrize("period", [3, 5, 10])
def test_a_curve_that_repeats_itself_is_seen_with_its_period(period: int) -> None:
    wave = 0.1 * (np.arange(200) % period == 0)
    diagnosis = periodic_validation(Curve.of(DESCENT + wave + RNG.normal(0, 0.005, 200)))
    assert diagnosis.fired
    assert int(str(diagnosis.evidence["lag"])) % period == 0


def test_a_slow_wave_is_seen() -> None:
    wave = 0.05 * np.sin(2 * np.pi * np.arange(200) / 20)
    diagnosis = periodic_validation(Curve.of(DESCENT + wave + RNG.normal(0, 0.005, 200)))
    assert diagnosis.fired
    assert diagnosis.evidence["lag"] == 20


def test_an_ordinary_curve_has_no_period() -> None:
    alarms = 0
    for _ in range(100):
        alarms += periodic_validation(Curve.of(DESCENT + RNG.normal(0, 0.02, 200))).fired
    assert alarms == 0


def test_slow_wandering_has_no_period() -> None:
    alarms = sum(
        periodic_validation(Curve.of(RNG.normal(size=200).cumsum())).fired for _ in range(50)
    )
    assert alarms <= 2


def test_a_period_needs_sixty_four_evaluations() -> None:
    assert periodic_validation(Curve.of(DESCENT[:63])).status is Status.NOT_CHECKABLE


def test_regular_steps_pass_even_with_an_odd_first_and_last_one() -> None:
    steps = [1, *range(100, 2000, 100), 1931]
    assert regular_evaluations(Curve.of(np.ones(len(steps)), steps)).status is Status.PASSED


def test_irregular_steps_are_noticed() -> None:
    steps = np.cumsum(RNG.integers(50, 150, 40))
    assert regular_evaluations(Curve.of(np.ones(40), steps)).fired


def test_a_difference_below_one_example_is_noticed() -> None:
    assert one_example(0.001, 0.0028).fired
    assert one_example(-0.01, 0.0028).status is Status.PASSED
    assert one_example(0.001, 0.0).status is Status.NOT_CHECKABLE


def test_a_late_first_evaluation_hides_early_instability() -> None:
    late = Curve.of(np.ones(10), np.arange(1, 11) * 100)
    said = partial(early_instability_unseen, late, diverged_early=True)
    assert said(gradient_norms_logged=False).fired
    assert not said(gradient_norms_logged=True).fired
    assert not said(gradient_norms_logged=False, planned_steps=20_000).fired


def test_a_run_evaluated_once_an_epoch_is_no_finding_unless_it_diverged_early() -> None:
    epochs = Curve.of(np.linspace(0.3, 0.8, 20), np.arange(1, 21))
    assert not early_instability_unseen(
        epochs, diverged_early=False, gradient_norms_logged=False
    ).fired


@given(st.lists(st.floats(), max_size=100), st.lists(st.integers(0, 9), max_size=100))
def test_no_curve_breaks_the_rules(values: list[float], steps: list[int]) -> None:
    count = min(len(values), len(steps))
    for curve in (Curve.of(values), Curve.of(values[:count], steps[:count])):
        assert periodic_validation(curve).status in Status
        assert regular_evaluations(curve).status in Status
        said = early_instability_unseen(curve, diverged_early=True, gradient_norms_logged=False)
        assert said.status in Status


@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_scale_and_shift_do_not_change_a_period(scale: float, shift: float) -> None:
    values = DESCENT + 0.1 * (np.arange(200) % 7 == 0)
    assert periodic_validation(Curve.of(shift + scale * values)).fired
