from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.learning_curve import Curve, Direction
from experiments.analysis.curves.stability import (
    Cause,
    divergence,
    find_break,
    non_finite,
    train_loss_rising,
)
from experiments.analysis.diagnosis import Severity, Status

RNG = np.random.default_rng(0)
HEALTHY = 2 * np.exp(-np.arange(200) / 30) + 0.2 + RNG.normal(0, 0.01, 200)


def with_jump(at: int, height: float, length: int = 200) -> Curve:
    values = HEALTHY.copy()
    values[at : at + length] += height
    return Curve.of(values)


def test_a_healthy_curve_does_not_diverge() -> None:
    assert divergence(Curve.of(HEALTHY)).status is Status.PASSED


def test_one_value_that_is_no_number_is_a_divergence() -> None:
    values = HEALTHY.copy()
    values[150] = math.nan
    diagnosis = divergence(Curve.of(values))
    assert diagnosis.severity is Severity.PROBLEM
    assert diagnosis.evidence["cause"] == Cause.NON_FINITE
    assert (diagnosis.evidence["step"], diagnosis.evidence["when"]) == (150, "mid")


def test_a_value_that_is_no_number_is_told_at_once() -> None:
    diagnosis = divergence(Curve.of([2.3, math.inf]), planned_steps=1000)
    assert diagnosis.fired
    assert diagnosis.evidence["when"] == "early"
    assert diagnosis.action == "add_warmup"


def test_a_jump_that_stays_is_a_divergence_mid_training() -> None:
    diagnosis = divergence(with_jump(120, 3.0))
    assert diagnosis.evidence["cause"] == Cause.SUDDEN_RISE
    assert 115 <= float(str(diagnosis.evidence["step"])) <= 120
    assert diagnosis.action == "add_clipping"


def test_a_jump_that_comes_back_is_none() -> None:
    assert not divergence(with_jump(120, 3.0, length=5)).fired


def test_a_curve_that_climbs_above_its_start_diverged() -> None:
    climbing = Curve.of(1 + np.arange(50) / 50 + RNG.normal(0, 0.001, 50))
    broken = find_break(climbing)
    assert broken is not None
    assert broken.cause is Cause.ABOVE_START
    assert broken.early


def test_a_flat_noisy_curve_that_never_learned_did_not_diverge() -> None:
    assert not divergence(Curve.of(RNG.normal(1, 0.1, 100))).fired


def test_a_slow_rise_is_not_sudden() -> None:
    slow = np.r_[np.linspace(2, 0.5, 50), np.linspace(0.5, 1.4, 150)]
    assert not divergence(Curve.of(slow)).fired


def test_early_and_mid_are_told_by_the_planned_steps() -> None:
    values = np.r_[np.linspace(2, 1, 20), np.full(20, 9.0)]
    seen = divergence(Curve.of(values)).evidence["when"]
    planned = divergence(Curve.of(values), planned_steps=1000).evidence["when"]
    assert (seen, planned) == ("mid", "early")


def test_a_metric_that_collapses_is_seen_by_its_direction() -> None:
    accuracy = Curve.of(1 - HEALTHY / 3)
    collapsed = Curve.of(np.r_[accuracy.values[:120], np.full(80, 0.1)])
    assert not divergence(accuracy, direction=Direction.MAXIMIZE).fired
    assert divergence(collapsed, direction=Direction.MAXIMIZE).fired


def test_too_short_a_curve_is_not_checkable() -> None:
    assert divergence(Curve.of([3.0, 2.0])).status is Status.NOT_CHECKABLE


def test_series_with_values_that_are_no_numbers_are_named_with_their_first_step() -> None:
    diagnosis = non_finite(
        {"loss": Curve.of([1.0, math.nan, math.nan]), "norm": Curve.of([math.inf, 1.0])}
    )
    assert diagnosis.fired
    assert diagnosis.title == "norm is not a finite number from step 0"
    assert diagnosis.evidence["counts"] == [2, 1]


def test_finite_series_pass() -> None:
    assert non_finite({"loss": Curve.of(HEALTHY)}).status is Status.PASSED


def test_a_training_loss_that_climbs_again_is_seen() -> None:
    loss = np.r_[np.linspace(2, 0.5, 60), np.linspace(0.5, 1.0, 60)]
    diagnosis = train_loss_rising(Curve.of(loss))
    assert diagnosis.fired
    assert abs(float(str(diagnosis.evidence["lowest_step"])) - 60) <= 2


def test_a_falling_training_loss_passes() -> None:
    assert train_loss_rising(Curve.of(HEALTHY)).status is Status.PASSED


def test_a_training_loss_that_wanders_at_its_floor_passes() -> None:
    floor = np.r_[np.linspace(2, 0, 40), np.abs(RNG.normal(0, 1e-4, 80))]
    assert train_loss_rising(Curve.of(floor)).status is Status.PASSED


@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3), st.sampled_from([0.0, 3.0]))
def test_scale_and_shift_do_not_matter(scale: float, shift: float, height: float) -> None:
    curve = with_jump(120, height)
    moved = Curve(curve.steps, shift + scale * curve.values)
    assert divergence(moved).fired is divergence(curve).fired


@given(st.lists(st.floats(), max_size=60), st.sampled_from(list(Direction)))
def test_no_curve_breaks_the_rules(values: list[float], direction: Direction) -> None:
    curve = Curve.of(values)
    assert divergence(curve, direction=direction).status in Status
    assert train_loss_rising(curve).status in Status
    assert non_finite({"x": curve}).status in Status


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_every_value_that_is_no_number_is_caught(values: list[float]) -> None:
    for position in range(len(values)):
        broken = [*values]
        broken[position] = math.nan
        assert divergence(Curve.of(broken)).fired
