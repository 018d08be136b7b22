from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.curves import (
    Curve,
    Direction,
    MetricKind,
    best_step,
    late_oscillation,
    overfitting,
)
from experiments.analysis.diagnosis import Severity, Status

any_values = st.lists(st.floats(), max_size=60)
kinds = st.sampled_from([MetricKind.LOSS, MetricKind.METRIC])
directions = st.sampled_from(list(Direction))


def falling_then_rising(count: int = 100, turn: int = 40, *, noise: float = 0.005) -> Curve:
    rng = np.random.default_rng(1)
    steps = np.arange(count)
    down = 0.5 + 1.5 * np.exp(-steps / (turn / 6))
    up = np.where(steps > turn, 0.004 * (steps - turn), 0.0)
    return Curve.of(down + up + rng.normal(0, noise, count))


def falling(count: int = 100, *, noise: float = 0.005) -> Curve:
    rng = np.random.default_rng(2)
    return Curve.of(0.5 + 1.5 * np.exp(-np.arange(count) / 15) + rng.normal(0, noise, count))


TRAIN = Curve.of(2 * np.exp(-np.arange(100) / 20))


def test_a_validation_loss_that_turns_is_called_overfitting() -> None:
    diagnosis = overfitting(falling_then_rising(), TRAIN)
    assert diagnosis.fired
    assert diagnosis.severity is Severity.WARNING
    assert 30 <= float(str(diagnosis.evidence["onset_step"])) <= 50
    assert re.fullmatch(r"Validation loss rises after step \d+ \(\+\d+ %\)", diagnosis.title)


def test_the_cost_of_the_last_checkpoint_is_its_height_above_the_best() -> None:
    diagnosis = overfitting(falling_then_rising(noise=0.0), TRAIN)
    assert diagnosis.evidence["cost_of_last"] == pytest.approx(0.236, abs=0.02)


def test_a_falling_curve_is_not_called_overfitting() -> None:
    assert overfitting(falling(), TRAIN).status is Status.PASSED


def test_a_flat_noisy_curve_is_not_called_overfitting() -> None:
    curve = Curve.of(np.random.default_rng(3).normal(1, 0.2, 200))
    assert overfitting(curve, TRAIN).status is Status.PASSED


def test_when_training_loss_rises_too_it_is_another_problem() -> None:
    diagnosis = overfitting(falling_then_rising(), falling_then_rising())
    assert diagnosis.status is Status.PASSED
    assert "training loss" in diagnosis.title


def test_a_training_loss_that_wanders_at_its_floor_has_not_risen() -> None:
    floor = Curve.of(np.r_[np.linspace(2, 0, 30), np.linspace(0, 1e-4, 70)])
    assert overfitting(falling_then_rising(), floor).fired


def test_a_training_loss_that_rises_far_less_has_not_risen_with_it() -> None:
    wander = np.where(np.arange(100) > 60, 0.15, 0.0)
    floor = Curve.of(np.r_[np.linspace(2, 0, 30), np.zeros(70)] + wander)
    diagnosis = overfitting(Curve.of(3 * falling_then_rising().values), floor)
    assert float(str(diagnosis.evidence["train_loss_change_share"])) > 0.05
    assert diagnosis.fired


def test_a_curve_that_gains_most_at_its_end_is_not_late_in_training() -> None:
    steps = np.arange(100)
    takes_off = np.where(steps < 85, 2.0 - 0.002 * steps, 1.8 - 0.1 * (steps - 85))
    jumping = Curve.of(takes_off + np.random.default_rng(7).normal(0, 0.1, 100))
    found = late_oscillation(jumping, trial_sd=0.01)
    assert found.status is Status.PASSED
    assert "not late in training yet" in found.detail


def test_a_training_loss_that_never_falls_is_no_overfitting() -> None:
    diagnosis = overfitting(falling_then_rising(), Curve.of(np.full(100, 0.3)))
    assert diagnosis.status is Status.PASSED
    assert diagnosis.title == "Training loss never falls"
    assert "learning rate is too large" in diagnosis.detail


def test_a_training_loss_that_rises_after_an_explosion_at_the_start_has_risen() -> None:
    # 5,000 at the first step, 3 at the onset, 6 at the end: a thousandth of the fall.
    train = np.r_[5000.0, np.linspace(7, 3, 39), np.linspace(3, 6, 60)]
    accuracy = Curve.of(1 - falling_then_rising().values / 4)
    found = overfitting(
        accuracy, Curve.of(train), kind=MetricKind.METRIC, direction=Direction.MAXIMIZE
    )
    assert found.status is Status.PASSED
    assert "together with training loss" in found.title


def collapse(count: int = 100, at: int = 50, *, left: float = 0.6) -> Curve:
    """A loss that falls, jumps within one evaluation and recovers in part."""
    steps = np.arange(count)
    jump = np.where(steps >= at, left + (1.5 - left) * np.exp(-(steps - at) / 8), 0)
    noise = np.random.default_rng(4).normal(0, 0.005, count)
    return Curve.of(0.5 + 1.5 * np.exp(-steps / 10) + jump + noise)


@pytest.mark.parametrize("train", [None, TRAIN], ids=["validation alone", "with training loss"])
def test_a_jump_is_instability_and_not_overfitting(train: Curve | None) -> None:
    found = overfitting(collapse(), train)
    assert found.status is Status.PASSED
    assert found.title == "Validation error jumps: unstable, not overfitting"


@pytest.mark.parametrize("count", [8, 9, 10, 12, 15, 20])
def test_a_short_curve_that_falls_and_rises_steeply_is_seen(count: int) -> None:
    # Nearly every one-step change is trend here, not noise.
    place = np.linspace(-1, 1, count)
    curve = Curve.of(0.3 + np.where(place < 0, 2 * place**2, place))
    assert overfitting(curve, Curve.of(np.linspace(2, 0.1, count))).fired


def test_a_loss_that_fell_to_next_to_nothing_is_not_judged_by_the_ratio() -> None:
    # 2.3 to 0.01, then 0.012: 20 % above its best, yet a thousandth of what it gained.
    steps = np.arange(100)
    curve = Curve.of(0.01 + 2.3 * np.exp(-steps / 5) + np.maximum(steps - 70, 0) * 7e-5)
    diagnosis = overfitting(curve, TRAIN)
    assert float(str(diagnosis.evidence["generalisation_loss_percent"])) > 5
    assert diagnosis.status is Status.PASSED


def test_an_accuracy_near_one_is_judged_by_the_ratio_of_its_errors() -> None:
    # 97 % right, then 95.5 %: half as many errors again, though little of what it gained.
    steps = np.arange(100)
    accuracy = 0.97 - 0.87 * np.exp(-steps / 6) - np.maximum(steps - 60, 0) * 0.015 / 39
    found = overfitting(
        Curve.of(accuracy),
        TRAIN,
        kind=MetricKind.METRIC,
        direction=Direction.MAXIMIZE,
        resolution=1 / 2000,
    )
    assert found.evidence["judged_by"] == "generalisation loss"
    assert float(str(found.evidence["share_of_improvement"])) < 0.05
    assert found.fired


def barely_falling(rise: float) -> Curve:
    """A loss from 3.0 to 2.8 and up again, as of a language model that is tuned further."""
    steps = np.arange(40)
    noise = np.random.default_rng(6).normal(0, 0.003, 40)
    return Curve.of(2.8 + 0.2 * np.exp(-steps / 3) + rise * np.maximum(steps - 15, 0) / 24 + noise)


def test_a_loss_with_a_large_constant_is_judged_by_what_it_gained() -> None:
    train = Curve.of(2.9 * np.exp(-np.arange(40) / 20))
    diagnosis = overfitting(barely_falling(0.1), train)
    assert float(str(diagnosis.evidence["generalisation_loss_percent"])) < 5
    assert diagnosis.evidence["judged_by"] == "share of improvement"
    assert diagnosis.title.endswith(" of its gain)")
    assert diagnosis.fired
    assert overfitting(barely_falling(0.03), train).status is Status.PASSED


def test_a_loss_that_hardly_moved_at_all_is_not_called_overfitting() -> None:
    # 0.690 to 0.685 and up to 0.694: more than it gained, and 1.3 %.
    steps = np.arange(15)
    curve = Curve.of(np.interp(steps, [0, 4, 14], [0.690, 0.685, 0.694]))
    assert overfitting(curve, Curve.of(0.69 - 0.01 * steps)).status is Status.PASSED


def test_a_small_rise_counts_only_where_training_is_known_to_go_on() -> None:
    assert overfitting(barely_falling(0.1)).status is Status.PASSED
    assert overfitting(barely_falling(0.1), Curve.of(np.full(40, 2.0))).status is Status.PASSED


def test_below_eight_evaluations_there_is_no_diagnosis() -> None:
    diagnosis = overfitting(Curve.of([3, 2, 1, 2, 3, 4, 5]))
    assert diagnosis.status is Status.NOT_CHECKABLE
    assert "7 finite evaluations" in diagnosis.detail


def test_an_accuracy_that_falls_is_judged_by_its_error() -> None:
    rise = falling_then_rising().values
    accuracy = Curve.of(1 - rise / 4)
    diagnosis = overfitting(accuracy, TRAIN, kind=MetricKind.METRIC, direction=Direction.MAXIMIZE)
    assert diagnosis.fired
    assert diagnosis.evidence["judged_by"] == "generalisation loss"
    assert "Validation metric falls after step" in diagnosis.title
    assert "(error +" in diagnosis.title


def test_an_unbounded_metric_uses_the_share_of_its_improvement() -> None:
    bleu = Curve.of(30 - 10 * falling_then_rising().values)
    diagnosis = overfitting(bleu, TRAIN, kind=MetricKind.METRIC, direction=Direction.MAXIMIZE)
    assert diagnosis.fired
    assert diagnosis.evidence["judged_by"] == "share of improvement"


def test_a_signed_loss_uses_the_share_of_its_improvement() -> None:
    signed = Curve.of(falling_then_rising().values - 10)
    assert overfitting(signed, TRAIN).evidence["judged_by"] == "share of improvement"
    assert overfitting(signed, TRAIN).fired


def test_a_rise_smaller_than_the_metrics_resolution_is_noise() -> None:
    # One after the other, two validation examples of twenty change their minds: 0.9 to 0.8.
    values = np.r_[
        np.linspace(0.5, 0.9, 10), np.repeat(0.9, 5), np.repeat(0.85, 15), np.repeat(0.8, 25)
    ]
    known = overfitting(
        Curve.of(values),
        kind=MetricKind.METRIC,
        direction=Direction.MAXIMIZE,
        resolution=0.05,
    )
    unknown = overfitting(Curve.of(values), kind=MetricKind.METRIC, direction=Direction.MAXIMIZE)
    assert known.status is Status.PASSED
    assert unknown.fired


def test_a_metric_that_never_improved_is_not_overfitting() -> None:
    lost = Curve.of(-np.arange(20.0))
    diagnosis = overfitting(lost, kind=MetricKind.METRIC, direction=Direction.MAXIMIZE)
    assert diagnosis.status is Status.PASSED


@given(st.floats(1e-3, 1e3), st.booleans())
def test_the_verdict_on_a_loss_does_not_depend_on_its_scale(scale: float, turns: bool) -> None:
    curve = falling_then_rising() if turns else falling()
    scaled = Curve(curve.steps, scale * curve.values)
    assert overfitting(scaled).status is overfitting(curve).status


@given(st.floats(0.1, 10), st.floats(100, 1000), st.booleans())
def test_the_share_rule_depends_on_neither_scale_nor_shift(
    scale: float, shift: float, turns: bool
) -> None:
    curve = falling_then_rising() if turns else falling()
    moved = Curve(curve.steps, shift - scale * curve.values)
    diagnosis = overfitting(
        moved, kind=MetricKind.METRIC, direction=Direction.MAXIMIZE, bounded=False
    )
    assert diagnosis.fired is turns


@given(st.permutations(list(range(100))))
def test_the_order_of_logging_does_not_matter(order: list[int]) -> None:
    curve = falling_then_rising()
    shuffled = Curve(curve.steps[order], curve.values[order])
    assert overfitting(shuffled).evidence == overfitting(curve).evidence


@given(any_values, any_values, kinds, directions, st.floats(0, 1))
def test_no_curve_breaks_a_rule(
    values: list[float],
    train: list[float],
    kind: MetricKind,
    direction: Direction,
    resolution: float,
) -> None:
    curve = Curve.of(values)
    for diagnosis in (
        overfitting(curve, Curve.of(train), kind=kind, direction=direction, resolution=resolution),
        late_oscillation(curve, kind=kind, direction=direction, resolution=resolution),
    ):
        assert diagnosis.status in Status
    best_step(curve, direction)


@given(st.floats(-1e6, 1e6), st.integers(0, 100))
def test_a_constant_never_fires(value: float, count: int) -> None:
    curve = Curve.of(np.full(count, value))
    assert not overfitting(curve).fired
    assert not late_oscillation(curve).fired


def jumping(count: int = 100, size: float = 0.2) -> Curve:
    curve = falling(count)
    jumps = np.random.default_rng(4).normal(0, size, count) * (np.arange(count) > count / 2)
    return Curve(curve.steps, curve.values + jumps)


def test_a_curve_that_jumps_late_is_seen() -> None:
    diagnosis = late_oscillation(jumping())
    assert diagnosis.fired
    assert diagnosis.evidence["limit_is"] == "5 % of the improvement"


def test_a_steady_curve_is_not_called_oscillating() -> None:
    assert late_oscillation(falling()).status is Status.PASSED


def test_a_steady_descent_is_a_trend_not_an_oscillation() -> None:
    assert late_oscillation(Curve.of(np.linspace(10, 0, 100))).status is Status.PASSED


def test_what_counts_is_the_deviation_over_seeds_where_it_is_known() -> None:
    assert late_oscillation(falling(noise=0.01), trial_sd=0.001).fired
    assert not late_oscillation(falling(noise=0.01), trial_sd=1.0).fired


def test_half_the_distance_to_a_close_runner_up_is_the_limit() -> None:
    assert late_oscillation(falling(noise=0.01), runner_up_gap=0.001).fired
    assert not late_oscillation(falling(noise=0.01), runner_up_gap=0.5).fired


def test_the_luck_of_the_best_grows_with_the_number_of_evaluations() -> None:
    few, many = late_oscillation(jumping(100)), late_oscillation(jumping(1000))
    ratio = [
        float(str(d.evidence["luck_of_best"])) / float(str(d.evidence["deviation"]))
        for d in (few, many)
    ]
    assert ratio[0] == pytest.approx(1.867, abs=0.01)
    assert ratio[1] > ratio[0]


def test_a_curve_that_calmed_down_does_not_oscillate_late() -> None:
    rng = np.random.default_rng(6)
    spread = np.where(np.arange(60) < 40, 0.1, 0.02)
    curve = Curve.of(1 + 0.2 * np.exp(-np.arange(60) / 10) + spread * rng.normal(size=60))
    assert not late_oscillation(curve).fired
    assert late_oscillation(curve, trial_sd=0.005).fired


def test_a_loss_that_only_rises_does_not_oscillate_by_a_share_of_nothing() -> None:
    steps = np.arange(40)
    rising = Curve.of(1.7 + 0.1 * steps + 0.05 * np.sin(3 * steps))
    assert not late_oscillation(rising).fired


def test_a_change_below_the_resolution_is_not_an_oscillation() -> None:
    curve = Curve.of(0.9 + 0.001 * np.random.default_rng(5).normal(size=60))
    kind, direction = MetricKind.METRIC, Direction.MAXIMIZE
    assert late_oscillation(curve, kind=kind, direction=direction).fired
    assert not late_oscillation(curve, kind=kind, direction=direction, resolution=0.01).fired


def test_the_best_step_is_the_first_of_equals() -> None:
    assert best_step(Curve.of([3, 1, 2, 1]), Direction.MINIMIZE) == 1
    assert best_step(Curve.of([3, 1, 3, math.nan]), Direction.MAXIMIZE) == 0
    assert math.isnan(best_step(Curve.of([math.nan]), Direction.MAXIMIZE))


def test_a_metric_that_moves_by_one_or_two_examples_does_not_jump_about() -> None:
    rng = np.random.default_rng(2)
    rise = np.minimum(0.93 + 0.004 * np.arange(60), 0.98)
    accuracy = np.round((rise + rng.choice([-1, 0, 1], 60) / 360) * 360) / 360
    more = {"kind": MetricKind.METRIC, "direction": Direction.MAXIMIZE}
    blind = late_oscillation(Curve.of(accuracy), **more)
    assert blind.fired, "the reason why the resolution must be known"
    assert not late_oscillation(Curve.of(accuracy), resolution=1 / 360, **more).fired
    jumping = accuracy + rng.choice([-9, 0, 9], 60) / 360
    assert late_oscillation(Curve.of(jumping), resolution=1 / 360, **more).fired
