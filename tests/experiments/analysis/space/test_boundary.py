from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.diagnosis import Diagnosis, Severity, Status
from experiments.analysis.space.axis import Axis, AxisKind, Edge
from experiments.analysis.space.boundary import boundary, count_edge, holm, suggested_bound

MIN, MAX = Direction.MINIMIZE, Direction.MAXIMIZE


def axis_of(
    unit: np.ndarray, scores: np.ndarray, *, name: str = "learning_rate", **other: object
) -> Axis:
    return Axis(name, unit, scores, np.ones(unit.size, bool), **other)  # type: ignore[arg-type]


def crowded(trials: int, in_band: int, top: int, band: int) -> Axis:
    """An axis whose best `top` trials have `in_band` of the band's members, the best one too."""
    inside = np.linspace(0.01, 0.09, band)
    outside = np.linspace(0.3, 0.95, trials - band)
    best = np.r_[inside[:in_band], outside[: top - in_band]]
    rest = np.r_[inside[in_band:], outside[top - in_band :]]
    return axis_of(np.r_[best, rest], np.arange(trials, dtype=float))


def at_low(diagnoses: list[Diagnosis]) -> Diagnosis:
    return next(d for d in diagnoses if d.subject.endswith(":low"))


def warns(axis: Axis) -> bool:
    found = at_low(boundary([axis], MIN))
    return found.fired and found.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("trials", "top", "band", "fewest"), [(20, 5, 4, 4), (38, 8, 8, 5), (50, 10, 10, 5)]
)
def test_the_smallest_counts_that_warn_on_one_axis(
    trials: int, top: int, band: int, fewest: int
) -> None:
    assert warns(crowded(trials, fewest, top, band))
    assert not warns(crowded(trials, fewest - 1, top, band))


def test_with_more_axes_fifty_trials_need_six_of_ten() -> None:
    rng = np.random.default_rng(0)
    others = [axis_of(rng.random(50), np.arange(50.0), name=f"x{n}") for n in range(3)]
    five = boundary([crowded(50, 5, 10, 10), *others], MIN)
    six = boundary([crowded(50, 6, 10, 10), *others], MIN)
    assert at_low(five).severity is Severity.NOTICE
    assert at_low(six).severity is Severity.WARNING


def test_the_test_is_hypergeometric() -> None:
    count = count_edge(crowded(38, 5, 8, 8), Edge.LOW, MIN)
    assert (count.trials, count.in_band, count.top, count.top_in_band) == (38, 8, 8, 5)
    assert count.p_value == pytest.approx(stats.hypergeom.sf(4, 38, 8, 8))


def test_an_optimum_inside_is_not_called_a_boundary() -> None:
    unit = np.linspace(0, 1, 50)
    assert not any(d.fired for d in boundary([axis_of(unit, (unit - 0.5) ** 2)], MIN))


def test_a_single_lucky_trial_at_the_edge_is_only_a_notice() -> None:
    unit = np.linspace(0, 1, 50)
    scores = (unit - 0.5) ** 2
    scores[0] = -1.0
    found = at_low(boundary([axis_of(unit, scores)], MIN))
    assert found.fired
    assert found.severity is Severity.NOTICE


def test_the_upper_edge_is_seen_when_scores_are_maximized() -> None:
    unit = np.linspace(0, 1, 50)
    found = [d for d in boundary([axis_of(unit, unit)], MAX) if d.fired]
    assert [d.subject for d in found] == ["learning_rate:high"]
    assert "upper edge of learning_rate" in found[0].title


def test_below_twenty_feasible_trials_nothing_is_said() -> None:
    unit = np.linspace(0, 1, 19)
    (found,) = boundary([axis_of(unit, unit)], MIN)
    assert found.status is Status.NOT_CHECKABLE
    assert found.evidence["trials"] == 19


def test_infeasible_trials_do_not_count() -> None:
    axis = crowded(38, 5, 8, 8)
    failing = Axis(
        axis.name,
        np.r_[axis.unit, np.full(20, 0.02)],
        np.r_[axis.scores, np.full(20, -5.0)],
        np.r_[axis.feasible, np.zeros(20, bool)],
    )
    assert at_low(boundary([failing], MIN)).evidence["p_value"] == pytest.approx(
        float(str(at_low(boundary([axis], MIN)).evidence["p_value"]))
    )


def test_a_natural_limit_is_said_but_not_warned_about() -> None:
    axis = replace(crowded(50, 8, 10, 10), name="dropout", natural=frozenset({"low"}))
    found = at_low(boundary([axis], MIN))
    assert found.status is Status.PASSED
    assert "natural limit" in found.title


def test_unordered_choices_have_no_edge() -> None:
    unit = np.repeat([0.0, 1.0], 25)
    axis = axis_of(unit, unit, kind=AxisKind.CATEGORICAL, choices=("adam", "sgd"))
    assert boundary([axis], MIN) == []


def test_ordered_choices_take_part_with_their_edge_value_as_band() -> None:
    unit = np.repeat(np.linspace(0, 1, 5), 10)
    axis = axis_of(unit, unit, kind=AxisKind.ORDERED, choices=(32, 64, 128, 256, 512))
    found = at_low(boundary([axis], MIN))
    assert found.fired
    assert found.evidence["in_band"] == 10
    assert "further choice" in found.advice


def test_an_integer_of_few_values_uses_its_edge_value() -> None:
    unit = np.repeat(np.linspace(0, 1, 4), 10)
    axis = axis_of(unit, unit, kind=AxisKind.INTEGER, low=1, high=4)
    assert at_low(boundary([axis], MIN)).evidence["in_band"] == 10


def test_arms_are_pooled_by_rank_within_the_arm() -> None:
    # The second arm is far better throughout, yet each arm's best lie at the lower edge.
    unit = np.tile(np.linspace(0, 1, 30), 2)
    scores = unit + np.repeat([10.0, 0.0], 30)
    axis = axis_of(unit, scores, arm=np.repeat([0, 1], 30))
    count = count_edge(axis, Edge.LOW, MIN)
    assert count.top == 12
    assert count.top_in_band == 12


def test_pooling_does_not_mistake_a_better_arm_for_an_edge() -> None:
    rng = np.random.default_rng(5)
    # The better arm searched near the edge only because its points fell there.
    unit = np.r_[rng.random(40) * 0.5, 0.5 + rng.random(40) * 0.5]
    scores = np.r_[rng.random(40), 10 + rng.random(40)]
    pooled = axis_of(unit, scores, arm=np.repeat([0, 1], 40))
    assert not warns(pooled)


def test_trials_without_the_hyperparameter_are_left_out() -> None:
    axis = crowded(38, 5, 8, 8)
    longer = axis_of(np.r_[axis.unit, np.full(9, np.nan)], np.r_[axis.scores, np.full(9, -1.0)])
    assert at_low(boundary([longer], MIN)).evidence["trials"] == 38


def test_an_adaptive_sampler_weakens_the_warning() -> None:
    found = at_low(boundary([crowded(50, 8, 10, 10)], MIN, adaptive=True))
    assert found.fired
    assert found.severity is Severity.NOTICE


def test_above_the_edge_of_infeasibility_no_wider_range_is_asked_for() -> None:
    unit = np.linspace(0, 1, 40)
    failing = unit > 0.92
    axis = Axis(
        "learning_rate",
        unit,
        np.where(failing, np.nan, 1 - unit),
        ~failing,
        low=1e-5,
        high=1e-1,
        log=True,
    )
    high = next(d for d in boundary([axis], MIN) if d.subject.endswith(":high"))
    assert high.status is Status.PASSED
    assert "training fails" in high.title


def bounds(**axis: object) -> tuple[float | None, float | None]:
    made = axis_of(np.zeros(1), np.zeros(1), **axis)
    return suggested_bound(made, Edge.LOW), suggested_bound(made, Edge.HIGH)


def test_a_log_range_is_extended_by_a_decade() -> None:
    assert bounds(low=1e-4, high=1e-1, log=True) == pytest.approx((1e-5, 1.0))


def test_a_linear_range_is_extended_by_half_of_it() -> None:
    assert bounds(low=10.0, high=30.0) == pytest.approx((0.0, 40.0))


def test_a_range_from_zero_does_not_become_negative() -> None:
    assert bounds(low=0.0, high=2.0) == (None, 3.0)


def test_a_share_stays_below_one() -> None:
    assert bounds(low=0.85, high=0.98)[1] == pytest.approx(0.99, abs=0.06)
    assert (bounds(low=0.5, high=0.9)[1] or 2) < 1


def test_an_integer_stays_whole_and_positive() -> None:
    assert bounds(low=1, high=4, kind=AxisKind.INTEGER) == (None, 6.0)


def test_a_natural_limit_has_no_new_bound() -> None:
    assert bounds(low=0.0, high=0.5, natural=frozenset({"low", "high"})) == (None, None)


scores_of_any_kind = st.lists(
    st.tuples(st.one_of(st.floats(0, 1), st.just(float("nan"))), st.floats(), st.booleans()),
    max_size=60,
)


@given(scores_of_any_kind, st.sampled_from(list(AxisKind)), st.sampled_from([MIN, MAX]))
def test_no_trials_break_the_rule(
    rows: list[tuple[float, float, bool]], kind: AxisKind, direction: Direction
) -> None:
    unit, scores, feasible = (
        (np.array(column) for column in zip(*rows, strict=True)) if rows else (np.array([]),) * 3
    )
    choices = tuple(range(5)) if kind in (AxisKind.ORDERED, AxisKind.CATEGORICAL) else None
    axis = Axis("x", unit, scores, feasible.astype(bool), kind=kind, choices=choices)
    for found in boundary([axis], direction):
        assert found.status in Status


@given(st.permutations(list(range(38))))
def test_the_order_of_trials_does_not_matter(order: list[int]) -> None:
    axis = crowded(38, 5, 8, 8)
    shuffled = axis_of(axis.unit[order], axis.scores[order])
    assert boundary([shuffled], MIN) == [replace(d) for d in boundary([axis], MIN)]


@given(st.floats(0.01, 100), st.floats(-100, 100))
def test_scale_and_shift_of_the_scores_do_not_matter(scale: float, shift: float) -> None:
    axis = crowded(38, 5, 8, 8)
    moved = replace(axis, scores=shift + scale * axis.scores)
    assert [d.evidence["p_value"] for d in boundary([moved], MIN)] == [
        d.evidence["p_value"] for d in boundary([axis], MIN)
    ]


def test_equal_scores_everywhere_never_fire() -> None:
    axis = axis_of(np.linspace(0, 1, 40), np.ones(40))
    assert not any(d.fired for d in boundary([axis], MIN))


@pytest.mark.parametrize("p_values", [[0.03, 0.01, 0.02], [0.5, 0.6], [1e-9, 0.04, 0.04, 1.0]])
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    expected = multipletests(p_values, method="holm")[1]
    assert holm(np.array(p_values)) == pytest.approx(expected)
