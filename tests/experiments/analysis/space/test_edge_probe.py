from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.diagnosis import Status
from experiments.analysis.space.axis import Axis, AxisKind, Edge
from experiments.analysis.space.edge_probe import (
    CONFIRMED,
    DISMISSED,
    OPEN,
    UNKNOWN,
    ProbedEdge,
    blocks,
    edge_probe,
    judged,
    probe_of,
    probed_by_default,
    runs_of,
)

UNIT = np.linspace(0, 1, 20)
EDGE = ProbedEdge("units", "high", (96.0, 128.0), 128.0, live=(0, 1))
LAST = len(thresholds.PROBE_LOOKS) - 1


def rates(scores: np.ndarray = 1 - UNIT, **other: object) -> Axis:
    known = {"low": 1e-4, "high": 1e-2, "log": True, **other}
    return Axis("learning_rate", UNIT, scores, np.ones(20, bool), **known)  # type: ignore[arg-type]


def table(look: int, seed: int, gain: float = 0.0) -> np.ndarray:
    """Errors [C, S] of configurations that differ by up to 1, with a deviation of 0.1."""
    shape = thresholds.PROBE_LOOKS[look]
    base = np.linspace(0.0, 1.0, shape[0])[:, None]
    return base - gain + np.random.default_rng(seed).normal(0.0, 0.1, shape)


def test_a_configuration_is_moved_half_a_decade_and_a_decade_beyond_a_logarithmic_edge() -> None:
    probe = probe_of(rates(), Edge.HIGH)
    assert probe is not None
    assert probe.points == pytest.approx((10**-1.5, 0.1))
    assert (probe.bound, probe.subject) == (pytest.approx(0.1), "learning_rate:high")


def test_a_natural_limit_is_not_probed() -> None:
    assert probe_of(rates(natural=frozenset({"high"})), Edge.HIGH) is None


def test_an_integer_stays_whole() -> None:
    probe = probe_of(rates(low=1, high=4, log=False, kind=AxisKind.INTEGER), Edge.HIGH)
    assert probe is not None
    assert probe.points == (5.0, 6.0)


def test_an_edge_towards_which_scores_get_worse_for_certain_is_left_out() -> None:
    rng = np.random.default_rng(0)
    axis = rates(1 - UNIT + rng.normal(0, 0.05, 20))
    found = probed_by_default([axis], Direction.MINIMIZE)
    assert [probe.subject for probe in found] == ["learning_rate:high"]


def test_looks_add_to_each_other_without_repeating_a_pair() -> None:
    every = [block for look in range(LAST + 1) for block in blocks(look)]
    assert len(every) == len(set(every)) == math.prod(thresholds.PROBE_LOOKS[-1])
    assert len(blocks(0)) == 5
    assert (runs_of(1, looks=1), runs_of(3, looks=1), runs_of(1)) == (15, 35, 90)


def test_a_large_gain_confirms_the_edge_at_the_first_look() -> None:
    found = judged(EDGE, table(0, 0), {0: table(0, 1, 0.5), 1: table(0, 2, 0.8)}, 0)
    assert (found.outcome, found.value, found.pairs, found.live) == (CONFIRMED, 128.0, 5, ())
    said = edge_probe(found)
    assert said.fired and said.title == "It is better beyond the upper edge of units"
    assert said.detail.startswith("At units 128 the best configurations are 0.8")
    assert said.evidence["suggested_high"] == 128.0


def test_a_loss_dismisses_it_at_the_first_look() -> None:
    found = judged(EDGE, table(0, 0), {0: table(0, 1, -0.5), 1: table(0, 2, -0.8)}, 0)
    assert (found.outcome, found.live) == (DISMISSED, ())
    said = edge_probe(found)
    assert said.status is Status.PASSED
    assert said.title == "Beyond the upper edge of units it is no better"


def test_only_the_point_that_may_still_confirm_goes_on() -> None:
    found = judged(EDGE, table(0, 0), {0: table(0, 1, 0.06), 1: table(0, 2, -0.8)}, 0)
    assert (found.outcome, found.live) == (OPEN, (0,))
    assert edge_probe(found).status is Status.NOT_CHECKABLE


def test_the_last_look_ends_every_probe() -> None:
    moved = {0: table(LAST, 1, 0.02), 1: table(LAST, 2, 0.02)}
    assert judged(EDGE, table(LAST, 0), moved, LAST).outcome in (CONFIRMED, DISMISSED)


def test_a_gain_of_others_than_the_best_does_not_confirm() -> None:
    moved = table(LAST, 1, 0.3)
    moved[0] += 0.5  # the best one loses
    moved = np.maximum(moved, 0.0)
    found = judged(EDGE, table(LAST, 0), {0: moved, 1: moved}, LAST)
    assert found.p_value is not None and found.p_value < thresholds.PROBE_LEVEL
    assert found.outcome == DISMISSED


def test_where_a_rule_warned_before_a_weaker_gain_confirms() -> None:
    moved = {0: table(0, 3, 0.12), 1: table(0, 4, 0.12)}
    found = judged(EDGE, table(0, 0), moved, 0)
    warned = ProbedEdge("units", "high", (96.0, 128.0), 128.0, warned=True, live=(0, 1))
    assert (found.outcome, judged(warned, table(0, 0), moved, 0).outcome) == (OPEN, CONFIRMED)


def test_runs_that_fail_beyond_dismiss_the_edge() -> None:
    failed = np.full((5, 1), math.inf)
    found = judged(EDGE, table(0, 0), {0: failed, 1: failed}, 0)
    assert (found.outcome, found.lost) == (DISMISSED, 5)
    assert "every run failed" in edge_probe(found).detail


def test_runs_that_were_lost_tell_nothing() -> None:
    lost = np.full((5, 1), math.nan)
    assert judged(EDGE, table(0, 0), {0: lost, 1: lost}, 0).outcome == UNKNOWN


def _through_all_looks(seed: int) -> str:
    """Outcome at an edge beyond which nothing changes."""
    rng = np.random.default_rng(seed)
    base = np.sort(rng.normal(size=10))[:, None]
    runs = base + rng.normal(size=(3, 10, 3))
    edge = EDGE
    for look, (configurations, seeds) in enumerate(thresholds.PROBE_LOOKS):
        seen = runs[:, :configurations, :seeds]
        edge = judged(edge, seen[0], {n: seen[1 + n] for n in edge.live}, look)
        if not edge.live:
            break
    return edge.outcome


def test_an_edge_that_changes_nothing_is_confirmed_one_time_in_twenty() -> None:
    outcomes = [_through_all_looks(seed) for seed in range(600)]
    assert outcomes.count(CONFIRMED) / 600 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 600)
    assert set(outcomes) == {CONFIRMED, DISMISSED}


@given(st.lists(st.floats(), min_size=15, max_size=15), st.booleans())
def test_no_scores_break_the_probe(scores: list[float], warned: bool) -> None:
    runs = np.array(scores).reshape(3, 5, 1)
    edge = ProbedEdge("x", "low", (1.0, 0.5), 0.5, warned=warned, live=(0, 1))
    found = judged(edge, runs[0], {0: runs[1], 1: runs[2]}, 0)
    assert edge_probe(found).status in Status
