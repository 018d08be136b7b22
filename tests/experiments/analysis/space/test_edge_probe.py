from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.diagnosis import Status
from experiments.analysis.space.axis import Axis, AxisKind, Edge
from experiments.analysis.space.edge_probe import edge_probe, probe_of

UNIT = np.linspace(0, 1, 20)
MIN, MAX = Direction.MINIMIZE, Direction.MAXIMIZE
GAINS = np.array([0.02, 0.03, 0.02, 0.01, 0.03])
MIXED = np.array([0.02, -0.03, 0.02, -0.01, 0.01])


def rates(**other: object) -> Axis:
    known = {"low": 1e-4, "high": 1e-2, "log": True, **other}
    return Axis("learning_rate", UNIT, 1 - UNIT, np.ones(20, bool), **known)  # type: ignore[arg-type]


def test_the_best_five_configurations_are_moved_to_the_edge_and_half_a_decade_beyond() -> None:
    probe = probe_of(rates(), Edge.HIGH, MIN)
    assert probe is not None
    assert probe.trials == (19, 18, 17, 16, 15)
    assert probe.at_edge == 1e-2
    assert probe.beyond == pytest.approx(10**-1.5)
    assert probe.runs == 10


def test_a_natural_limit_is_not_probed() -> None:
    assert probe_of(rates(natural=frozenset({"high"})), Edge.HIGH, MIN) is None


def test_an_integer_stays_whole() -> None:
    layers = rates(low=1, high=4, log=False, kind=AxisKind.INTEGER)
    probe = probe_of(layers, Edge.HIGH, MIN)
    assert probe is not None
    assert probe.beyond == 5


def test_pairs_that_are_better_beyond_confirm_the_edge() -> None:
    edge = np.array([0.80, 0.82, 0.79, 0.81, 0.80])
    found = edge_probe("units", Edge.HIGH, edge, edge + GAINS, MAX)
    assert found.fired
    assert found.title == "It is better beyond the upper edge of units"
    assert found.detail.startswith("Over 5 pairs the best configurations are 0.022 better")


def test_pairs_that_are_worse_or_differ_at_random_dismiss_it() -> None:
    edge = np.array([0.80, 0.82, 0.79, 0.81, 0.80])
    worse = edge_probe("units", Edge.LOW, edge, edge - 0.01, MAX)
    assert worse.status is Status.PASSED
    mixed = edge_probe("units", Edge.LOW, edge, edge + MIXED, MAX)
    assert mixed.status is Status.PASSED


def test_runs_that_fail_beyond_do_not_confirm_it() -> None:
    edge = np.full(10, 1.0)
    beyond = np.r_[np.full(7, math.nan), [0.5, 0.5, 0.5]]
    assert edge_probe("learning_rate", Edge.HIGH, edge, beyond, MIN).status is Status.PASSED


def test_two_pairs_are_too_few() -> None:
    found = edge_probe("units", Edge.HIGH, [1.0, 1.0], [0.5, 0.4], MIN)
    assert found.status is Status.NOT_CHECKABLE


def test_a_null_effect_is_confirmed_no_more_often_than_its_level() -> None:
    rng = np.random.default_rng(0)
    confirmed = sum(
        edge_probe("x", Edge.LOW, rng.normal(size=5), rng.normal(size=5), MIN).fired
        for _ in range(400)
    )
    assert confirmed / 400 <= 0.06


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=12), st.sampled_from([MIN, MAX]))
def test_no_scores_break_the_probe(pairs: list[tuple[float, float]], direction: Direction) -> None:
    left, right = [each[0] for each in pairs], [each[1] for each in pairs]
    assert edge_probe("x", Edge.LOW, left, right, direction).status in Status
