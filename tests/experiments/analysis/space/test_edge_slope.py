from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.diagnosis import Diagnosis, Severity, Status
from experiments.analysis.space.axis import Axis, AxisKind, Edge
from experiments.analysis.space.edge_slope import edge_slopes, fit_slopes

MIN, MAX = Direction.MINIMIZE, Direction.MAXIMIZE


def space(effect: float, trials: int = 50, seed: int = 0, axes: int = 4) -> list[Axis]:
    """The first axis improves towards its lower edge; the second hides it."""
    rng = np.random.default_rng(seed)
    units = rng.random((axes, trials))
    units[0, 0], units[1, 0] = 0.02, 0.5
    scores = effect * units[0] + 4 * (units[1] - 0.5) ** 2 + rng.normal(0, 0.1, trials)
    scores[0] = scores.min() - 0.1
    return [
        Axis(f"x{number}", unit, scores, np.ones(trials, bool))
        for number, unit in enumerate(units)
    ]


def at(found: list[Diagnosis], subject: str) -> Diagnosis:
    return next(d for d in found if d.subject == subject)


def test_a_slope_towards_an_edge_is_seen_through_the_other_hyperparameters() -> None:
    found = edge_slopes(space(1.0), MIN)
    assert [d.subject for d in found if d.fired] == ["x0:low"]
    assert at(found, "x0:low").severity is Severity.WARNING


def test_an_optimum_inside_has_no_slope_outwards() -> None:
    rng = np.random.default_rng(1)
    unit = rng.random((2, 60))
    scores = ((unit - 0.5) ** 2).sum(axis=0)
    axes = [Axis(f"x{n}", row, scores, np.ones(60, bool)) for n, row in enumerate(unit)]
    assert not any(d.fired for d in edge_slopes(axes, MIN))


def test_without_any_effect_few_studies_alarm() -> None:
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(200):
        scores = rng.random(50)
        axes = [Axis(f"x{n}", rng.random(50), scores, np.ones(50, bool)) for n in range(5)]
        alarms += any(d.fired for d in edge_slopes(axes, MIN))
    assert alarms <= 12  # 2 % expected


def test_a_natural_limit_and_an_adaptive_sampler_are_respected() -> None:
    axes = space(1.0)
    natural = [replace(axes[0], natural=frozenset({"low"})), *axes[1:]]
    assert not any(d.fired for d in edge_slopes(natural, MIN))
    assert at(edge_slopes(axes, MIN, adaptive=True), "x0:low").severity is Severity.NOTICE


def test_too_few_trials_for_the_surface_are_not_checkable() -> None:
    (found,) = edge_slopes(space(1.0, trials=15), MIN)
    assert found.status is Status.NOT_CHECKABLE
    (found,) = edge_slopes(space(1.0, trials=25, axes=10), MIN)
    assert found.status is Status.NOT_CHECKABLE


def test_unordered_choices_take_part_but_have_no_edge() -> None:
    choice = Axis(
        "optimizer",
        np.tile([0.0, 0.5, 1.0], 17)[:50],
        space(1.0)[0].scores,
        np.ones(50, bool),
        kind=AxisKind.CATEGORICAL,
        choices=("a", "b", "c"),
    )
    found = edge_slopes([*space(1.0), choice], MIN)
    assert at(found, "x0:low").fired
    assert not any("optimizer" in d.subject for d in found)


def test_the_gain_at_an_edge_is_positive_where_scores_improve_outwards() -> None:
    slopes = {(s.axis.name, s.edge): s for s in fit_slopes(space(1.0), MIN)}
    assert slopes["x0", Edge.LOW].gain > 0 > slopes["x0", Edge.HIGH].gain


@given(st.permutations(list(range(50))))
@settings(max_examples=20)
def test_the_order_of_trials_does_not_matter(order: list[int]) -> None:
    axes = space(1.0)
    shuffled = [replace(a, unit=a.unit[order], scores=a.scores[order]) for a in axes]
    before, after = edge_slopes(axes, MIN), edge_slopes(shuffled, MIN)
    assert [d.fired for d in before] == [d.fired for d in after]


@given(st.floats(0.01, 100), st.floats(-100, 100))
@settings(max_examples=20)
def test_scale_and_shift_of_the_scores_do_not_matter(scale: float, shift: float) -> None:
    axes = space(1.0)
    moved = [replace(axis, scores=shift + scale * axis.scores) for axis in axes]
    assert [d.fired for d in edge_slopes(moved, MIN)] == [d.fired for d in edge_slopes(axes, MIN)]


@given(
    st.lists(
        st.tuples(st.one_of(st.floats(0, 1), st.just(math.nan)), st.floats(), st.booleans()),
        max_size=40,
    ),
    st.sampled_from([MIN, MAX]),
)
def test_no_trials_break_the_rule(
    rows: list[tuple[float, float, bool]], direction: Direction
) -> None:
    unit = np.array([row[0] for row in rows], dtype=np.float64)
    scores = np.array([row[1] for row in rows], dtype=np.float64)
    feasible = np.array([row[2] for row in rows], dtype=np.bool_)
    axes = [Axis("x", unit, scores, feasible), Axis("y", unit[::-1], scores, feasible)]
    assert all(d.status in Status for d in edge_slopes(axes, direction))
