from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.learning_curve import Curve, Direction
from experiments.analysis.diagnosis import Severity, Status
from experiments.analysis.space.axis import Axis, AxisKind
from experiments.analysis.space.feasibility import (
    best_is_near_infeasible,
    decades_to_infeasible,
    infeasibility_threshold,
    infeasible_share,
    infeasible_trial,
    instability_edge,
    where_infeasible,
)

MIN = Direction.MINIMIZE
UNIT = np.linspace(0, 1, 41)


def rates(fails_above: float = 0.8, best: float = 0.75) -> Axis:
    """Forty-one learning rates from 1e-5 to 1e-1: four decades."""
    failed = fails_above < UNIT
    return Axis(
        "learning_rate",
        UNIT,
        np.where(failed, math.nan, np.abs(UNIT - best)),
        ~failed,
        low=1e-5,
        high=1e-1,
        log=True,
    )


def test_the_edge_of_infeasibility_is_the_lowest_value_above_which_trials_fail() -> None:
    assert infeasibility_threshold(rates()) == pytest.approx(0.825)


def test_single_failures_are_no_edge() -> None:
    axis = rates(fails_above=2.0)
    assert infeasibility_threshold(axis) is None
    two_at_the_top = replace(axis, feasible=UNIT < 0.96)
    assert infeasibility_threshold(two_at_the_top) is None


def test_one_lucky_trial_among_ten_does_not_hide_the_edge() -> None:
    feasible = UNIT <= 0.5
    feasible[30] = True
    axis = replace(rates(fails_above=2.0), feasible=feasible)
    assert infeasibility_threshold(axis) == pytest.approx(0.525)


def test_the_best_trial_just_below_the_edge_is_instability() -> None:
    axis = rates()
    assert decades_to_infeasible(axis, MIN) == pytest.approx(0.3)
    assert best_is_near_infeasible(axis, MIN)
    diagnosis = instability_edge(axis, MIN)
    assert diagnosis.fired
    assert diagnosis.action == "add_warmup"


def test_a_best_trial_far_below_the_edge_is_not() -> None:
    assert not best_is_near_infeasible(rates(best=0.3), MIN)
    assert instability_edge(rates(best=0.3), MIN).status is Status.PASSED


def test_on_a_linear_scale_instability_cannot_be_told() -> None:
    assert instability_edge(replace(rates(), log=False), MIN).status is Status.NOT_CHECKABLE


def test_a_quarter_of_failed_trials_is_a_warning_and_half_a_problem() -> None:
    feasible = np.ones(40, bool)
    assert infeasible_share(feasible).status is Status.PASSED
    feasible[:10] = False
    assert infeasible_share(feasible).severity is Severity.WARNING
    feasible[:20] = False
    found = infeasible_share(feasible)
    assert found.fired
    assert found.severity is Severity.PROBLEM


def test_the_place_where_trials_fail_is_named() -> None:
    axis = rates(fails_above=0.6)
    noise = replace(rates(2.0), name="dropout", unit=np.random.default_rng(0).random(41))
    stump = where_infeasible(axis.feasible, [noise, axis])
    assert stump is not None
    assert (stump.name, stump.side, stump.failed, stump.inside) == (
        "learning_rate",
        "above",
        17,
        17,
    )
    assert "most with learning_rate above" in infeasible_share(axis.feasible, [noise, axis]).title


def test_a_choice_that_always_fails_is_named() -> None:
    unit = np.tile([0.0, 0.5, 1.0], 12)
    feasible = unit != 0.5
    axis = Axis(
        "optimizer",
        unit,
        np.ones(36),
        feasible,
        kind=AxisKind.CATEGORICAL,
        choices=("adam", "sgd", "lamb"),
    )
    stump = where_infeasible(feasible, [axis])
    assert stump is not None
    assert stump.words == "optimizer = sgd"


def test_failures_without_a_pattern_have_no_place() -> None:
    rng = np.random.default_rng(1)
    axis = replace(rates(2.0), unit=rng.random(41), feasible=rng.random(41) > 0.3)
    assert where_infeasible(axis.feasible, [axis]) is None


@pytest.mark.parametrize(
    ("values", "infeasible"),
    [([2, 1], False), ([1, 2], True), ([2, math.nan, 1], True), ([], False), ([1], False)],
)
def test_a_single_trials_training_loss_shows_whether_it_trained(
    values: list[float], infeasible: bool
) -> None:
    assert infeasible_trial(Curve.of(values)) is infeasible
    assert infeasible_trial(Curve.of(values), failed=True)


def test_ten_thousand_trials_are_quick_to_split() -> None:
    rng = np.random.default_rng(0)
    unit = rng.random(10_000)
    axis = Axis("x", unit, unit, unit < 0.7)
    stump = where_infeasible(axis.feasible, [axis] * 5)
    assert stump is not None
    assert float(str(stump.value)) == pytest.approx(0.7, abs=0.02)


@given(
    st.lists(
        st.tuples(st.one_of(st.floats(0, 1), st.just(math.nan)), st.floats(), st.booleans()),
        max_size=40,
    ),
    st.booleans(),
)
def test_no_trials_break_the_rules(rows: list[tuple[float, float, bool]], log: bool) -> None:
    unit = np.array([row[0] for row in rows], dtype=np.float64)
    scores = np.array([row[1] for row in rows], dtype=np.float64)
    feasible = np.array([row[2] for row in rows], dtype=np.bool_)
    axis = Axis("x", unit, scores, feasible, low=0.1, high=1.0, log=log)
    assert infeasible_share(feasible, [axis]).status in Status
    assert instability_edge(axis, MIN).status in Status
