from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.learning_curve import Curve, Direction
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


@given(st.lists(st.floats(), max_size=40), st.sampled_from(list(Direction)))
def test_no_curve_breaks_the_rule(values: list[float], direction: Direction) -> None:
    assert never_improves(Curve.of(values), direction=direction).status in Status
