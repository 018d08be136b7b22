from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.diagnosis import Status
from experiments.analysis.space.density import budget_pays, density, doubling_gain, good_region

MIN, MAX = Direction.MINIMIZE, Direction.MAXIMIZE
ONE_HIT = np.r_[0.95, np.linspace(0.5, 0.8, 19)]
PLATEAU = np.r_[0.95, 0.949, 0.948, np.linspace(0.5, 0.8, 17)]


def test_a_single_hit_far_above_the_rest_is_not_dense() -> None:
    diagnosis = density(ONE_HIT, MAX)
    assert diagnosis.fired
    assert diagnosis.title == "No other trial comes close to the best"


def test_a_plateau_of_three_is_dense() -> None:
    assert density(PLATEAU, MAX).status is Status.PASSED


def test_the_deviation_over_seeds_decides_what_is_as_good() -> None:
    assert density(PLATEAU, MAX, trial_sd=1e-4).fired
    assert not density(ONE_HIT, MAX, trial_sd=0.3).fired


def test_the_region_is_told_in_the_metrics_unit() -> None:
    region = good_region(ONE_HIT, MAX)
    assert region is not None
    assert region.best == 0.95
    assert region.tolerance == pytest.approx(0.05 * (0.95 - np.median(ONE_HIT)))


def test_eight_feasible_trials_are_needed() -> None:
    assert density(ONE_HIT[:7], MAX).status is Status.NOT_CHECKABLE
    assert density(np.full(20, math.nan), MAX).status is Status.NOT_CHECKABLE


def test_what_the_last_doubling_gained_is_the_same_in_both_directions() -> None:
    assert doubling_gain(PLATEAU, MAX) == pytest.approx(doubling_gain(-PLATEAU, MIN))
    assert doubling_gain(np.ones(10), MIN) == pytest.approx(0, abs=1e-12)


def test_a_gain_above_the_seeds_deviation_pays() -> None:
    assert budget_pays(ONE_HIT, MAX, trial_sd=0.01).fired
    assert budget_pays(ONE_HIT, MAX, trial_sd=0.5).status is Status.PASSED


def test_without_seeds_the_gain_is_shown_but_not_judged() -> None:
    diagnosis = budget_pays(ONE_HIT, MAX, trial_sd=None)
    assert diagnosis.status is Status.NOT_CHECKABLE
    assert float(str(diagnosis.evidence["doubling_gain"])) > 0


@given(st.lists(st.floats(), max_size=30), st.sampled_from([MIN, MAX]), st.floats(0, 1))
def test_no_scores_break_the_rules(
    scores: list[float], direction: Direction, deviation: float
) -> None:
    row = np.array(scores)
    assert density(row, direction, trial_sd=deviation).status in Status
    assert budget_pays(row, direction, trial_sd=deviation).status in Status


@given(st.permutations(list(range(20))), st.floats(0.01, 100), st.floats(-100, 100))
def test_order_scale_and_shift_do_not_matter(order: list[int], scale: float, shift: float) -> None:
    for scores in (ONE_HIT, PLATEAU):
        moved = shift + scale * scores[order]
        assert density(moved, MAX).fired is density(scores, MAX).fired
