from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.checkpoints import best_checkpoint, checkpoint_regret
from experiments.analysis.curves.learning_curve import Curve, Direction
from experiments.analysis.diagnosis import Status

RNG = np.random.default_rng(0)


def test_the_best_checkpoint_is_the_first_of_equals_with_the_regret_of_the_last() -> None:
    best = best_checkpoint(Curve.of([1, 3, 3, 2], [10, 20, 30, 40]), direction=Direction.MAXIMIZE)
    assert best is not None
    assert (best.step, best.value, best.last, best.regret) == (20, 3, 2, 1)


def test_the_smoothed_value_is_shown_in_the_metrics_own_unit() -> None:
    best = best_checkpoint(Curve.of([0.5, 0.6, 0.9, 0.6, 0.5]), direction=Direction.MAXIMIZE)
    assert best is not None
    assert (best.value, best.smoothed) == (0.9, 0.6)


def test_the_luck_in_a_maximum_is_about_what_noise_alone_gives() -> None:
    surplus, told = [], []
    for _ in range(50):
        curve = Curve.of(0.8 + RNG.normal(0, 0.01, 50))
        best = best_checkpoint(curve, direction=Direction.MAXIMIZE)
        assert best is not None
        surplus.append(best.value - 0.8)
        told.append(best.luck)
    assert np.mean(told) == pytest.approx(np.mean(surplus), rel=0.15)


def test_a_last_checkpoint_that_is_clearly_worse_is_said() -> None:
    values = np.r_[np.linspace(2, 0.5, 40), np.linspace(0.5, 1.0, 40)]
    diagnosis = checkpoint_regret(Curve.of(values), direction=Direction.MINIMIZE)
    assert diagnosis.fired
    assert diagnosis.evidence["best_step"] == 39


def test_a_last_checkpoint_that_is_worse_by_luck_only_is_not() -> None:
    alarms = sum(
        checkpoint_regret(Curve.of(RNG.normal(1, 0.1, 60)), direction=Direction.MINIMIZE).fired
        for _ in range(100)
    )
    assert alarms <= 5


def test_a_last_checkpoint_that_costs_next_to_nothing_of_the_gain_is_not_said() -> None:
    # 2.0 to 0.5, and 0.502 at the end: clearly worse, and 0.13 % of all that was gained.
    values = np.r_[np.linspace(2, 0.5, 40), np.linspace(0.5, 0.502, 200)]
    found = checkpoint_regret(Curve.of(values), direction=Direction.MINIMIZE)
    assert found.status is Status.PASSED


def test_a_frozen_end_does_not_make_the_evaluations_before_it_free_of_noise() -> None:
    bleu = [10.6, 11.9, 12.9, 13.5, 14.0, 14.4, 14.8, 15.2, 15.1, 15.1, 15.1, 15.2, *[15.13] * 18]
    found = checkpoint_regret(Curve.of(bleu), direction=Direction.MAXIMIZE)
    assert found.status is Status.PASSED


def test_without_finite_values_there_is_no_best() -> None:
    assert best_checkpoint(Curve.of([math.nan]), direction=Direction.MINIMIZE) is None


@given(st.lists(st.floats(), max_size=40), st.sampled_from(list(Direction)))
def test_no_curve_breaks_the_rule(values: list[float], direction: Direction) -> None:
    assert checkpoint_regret(Curve.of(values), direction=direction).status in Status


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.sampled_from(list(Direction)))
def test_regret_is_never_negative(values: list[float], direction: Direction) -> None:
    best = best_checkpoint(Curve.of(values), direction=direction)
    assert best is not None
    assert best.regret >= 0
