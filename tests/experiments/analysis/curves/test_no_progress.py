from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.learning_curve import Curve, Direction, MetricKind
from experiments.analysis.curves.no_progress import never_improves
from experiments.analysis.diagnosis import Status


def test_a_loss_that_only_rises_never_improves_on_its_first_evaluation() -> None:
    found = never_improves(Curve.of(2.3 + 0.04 * np.arange(40)))
    assert found.fired
    assert found.title == "Validation never improves on its first evaluation"
    assert found.detail == "It begins at 2.3 and ends at 3.86."


def test_a_constant_metric_does_not_move() -> None:
    found = never_improves(Curve.of(np.full(20, 0.5)), direction=Direction.MAXIMIZE)
    assert found.title == "Validation metric does not move"
    assert found.detail == "All 20 evaluations are 0.5."


def test_noise_around_the_first_value_is_no_improvement() -> None:
    values = 0.5 + np.random.default_rng(0).normal(0, 0.01, 100)
    values[0] = 0.5
    assert never_improves(Curve.of(values)).fired


def test_a_curve_that_falls_and_rises_above_its_start_did_improve() -> None:
    curve = Curve.of(np.interp(np.arange(60), [0, 20, 59], [2.0, 1.0, 5.0]))
    assert never_improves(curve).status is Status.PASSED


def test_one_step_of_a_coarse_metric_is_an_improvement_if_it_stays() -> None:
    counted = {"kind": MetricKind.METRIC, "direction": Direction.MAXIMIZE, "resolution": 0.25}
    learns = Curve.of([0.5] * 4 + [0.75, 0.25] + [1.0] * 30)
    assert never_improves(learns, **counted).status is Status.PASSED
    assert never_improves(Curve.of([0.75] * 3 + [1.0] * 4 + [0.75] * 9), **counted).fired


def test_a_metric_that_wanders_about_its_first_value_never_improves() -> None:
    chance = 0.25 + np.random.default_rng(3).normal(0, 0.03, 30)
    chance[[0, 7, 8]] = 0.25, 0.33, 0.32  # its best lies four deviations above its first
    found = never_improves(Curve.of(chance), kind=MetricKind.METRIC, direction=Direction.MAXIMIZE)
    assert found.fired


def test_a_detector_that_finds_next_to_nothing_never_improves() -> None:
    precision = np.append(np.linspace(0.001, 0.004, 20), np.full(20, 0.003))
    found = never_improves(
        Curve.of(precision), kind=MetricKind.METRIC, direction=Direction.MAXIMIZE
    )
    assert found.fired


@given(st.lists(st.floats(), max_size=40), st.sampled_from(list(Direction)))
def test_no_curve_breaks_the_rule(values: list[float], direction: Direction) -> None:
    assert never_improves(Curve.of(values), direction=direction).status in Status
