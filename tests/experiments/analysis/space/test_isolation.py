from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.diagnosis import Status
from experiments.analysis.space.axis import Axis, AxisKind
from experiments.analysis.space.isolation import (
    best_of_unequal,
    fair_comparison,
    isolation_table,
    points_per_value,
)

MAX, MIN = Direction.MAXIMIZE, Direction.MINIMIZE


def smoothing(unit: np.ndarray, scores: np.ndarray) -> Axis:
    return Axis(
        "label_smoothing",
        unit,
        scores,
        np.ones(unit.size, bool),
        kind=AxisKind.ORDERED,
        choices=(0.0, 0.1),
    )


def test_each_value_has_its_best_and_its_count() -> None:
    axis = smoothing(np.array([0.0, 0.0, 1.0]), np.array([0.7, 0.8, 0.9]))
    rows = isolation_table(axis, MAX)
    assert [(row.label, row.trials, row.best, row.trial) for row in rows] == [
        ("label_smoothing = 0.0", 2, 0.8, 1),
        ("label_smoothing = 0.1", 1, 0.9, 2),
    ]


def test_the_equalised_best_is_expected_at_the_smallest_count() -> None:
    axis = smoothing(np.array([0.0, 0.0, 1.0]), np.array([0.7, 0.8, 0.9]))
    assert [row.equalised for row in isolation_table(axis, MAX)] == pytest.approx([0.75, 0.9])


def test_an_arm_that_leads_by_its_number_of_trials_is_found_out() -> None:
    many = stats.norm.ppf((np.arange(60) + 0.5) / 60, 0.80, 0.02)
    few = stats.norm.ppf((np.arange(5) + 0.5) / 5, 0.81, 0.02)
    axis = smoothing(np.repeat([0.0, 1.0], [60, 5]), np.r_[many, few])
    rows = isolation_table(axis, MAX)
    found = best_of_unequal(rows, MAX)
    assert found.fired
    assert found.evidence["leads"] == "label_smoothing = 0.0"
    assert found.evidence["leads_equalised"] == "label_smoothing = 0.1"


def test_an_arm_that_leads_at_equal_counts_leads() -> None:
    axis = smoothing(
        np.repeat([0.0, 1.0], 20), np.r_[np.linspace(0, 1, 20), np.linspace(1, 2, 20)]
    )
    assert best_of_unequal(isolation_table(axis, MAX), MAX).status is Status.PASSED


def test_a_continuous_hyperparameter_is_cut_into_buckets_of_equal_count() -> None:
    unit = np.random.default_rng(0).random(80)
    axis = Axis("x", unit, unit, np.ones(80, bool), low=1e-4, high=1e-1, log=True)
    rows = isolation_table(axis, MIN)
    assert [row.trials for row in rows] == [10] * 8
    assert all(a.high < b.low for a, b in pairwise(rows))


def test_values_without_a_feasible_trial_have_no_row() -> None:
    axis = smoothing(np.array([0.0, 1.0]), np.array([math.nan, 0.9]))
    assert len(isolation_table(axis, MAX)) == 1
    assert best_of_unequal(isolation_table(axis, MAX), MAX).status is Status.NOT_CHECKABLE


def test_values_with_fewer_than_five_trials_are_named() -> None:
    axis = smoothing(np.repeat([0.0, 1.0], [10, 3]), np.arange(13.0))
    found = points_per_value(isolation_table(axis, MAX))
    assert found.title == "Too few trials for label_smoothing = 0.1"


def test_a_baseline_with_far_fewer_trials_is_unfair() -> None:
    assert fair_comparison([("baseline", 10), ("candidate", 16)]).fired
    assert fair_comparison([("baseline", 10), ("candidate", 15)]).status is Status.PASSED
    assert fair_comparison([("baseline", 0), ("candidate", 15)]).fired
    assert fair_comparison([("baseline", 10)]).status is Status.NOT_CHECKABLE
    assert fair_comparison([("baseline", 0), ("candidate", 0)]).status is Status.PASSED


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.floats(-10, 10)), max_size=30),
    st.sampled_from([MAX, MIN]),
)
def test_the_equalised_best_never_beats_the_best(
    rows: list[tuple[float, float]], direction: Direction
) -> None:
    axis = smoothing(np.array([r[0] for r in rows]), np.array([r[1] for r in rows]))
    sign = 1 if direction is MAX else -1
    table = isolation_table(axis, direction)
    assert all(sign * (row.best - row.equalised) >= -1e-9 for row in table)
    assert best_of_unequal(table, direction).status in Status
    assert points_per_value(table).status in Status
