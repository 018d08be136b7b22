from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.design.document.grid import grid_values
from experiments.design.space.domains import refusal
from experiments.design.space.search_space import (
    Arm,
    Choices,
    Hyperparameter,
    Range,
    SearchSpace,
    domain_of,
    same_scalar,
    searched_domain,
)
from experiments.design.space.search_space_parsing import parse_search_space
from experiments.errors import Problem

unit = st.floats(0, 1, exclude_max=True)
ranges = st.one_of(
    st.builds(
        lambda low, width, log: Range(low, low * width if log else low + width, log),
        st.floats(1e-8, 1e3),
        st.floats(1.5, 1e6),
        st.booleans(),
    ),
    st.builds(
        lambda low, count, log: Range(low, low + count, log, None, integer=True),
        st.integers(1, 1000),
        st.integers(1, 5000),
        st.booleans(),
    ),
    st.builds(
        lambda low, step, count: Range(low, low + step * count, False, step),
        st.integers(-50, 50),
        st.sampled_from([0.25, 0.5, 2.0, 10.0]),
        st.integers(1, 40),
    ),
)


@given(ranges, unit)
def test_every_point_of_the_unit_interval_lands_inside_the_range(space: Range, u: float) -> None:
    assert space.holds(space.from_unit(u))


@given(ranges, unit, unit)
def test_the_way_from_the_unit_interval_keeps_the_order(space: Range, u: float, v: float) -> None:
    if u <= v:
        assert space.from_unit(u) <= space.from_unit(v)


@given(ranges, unit)
def test_back_in_the_unit_interval_a_value_is_within_half_a_bin(space: Range, u: float) -> None:
    value = space.from_unit(u)
    position = space.to_unit(value)
    assert -1e-9 <= position <= 1 + 1e-9
    again = space.from_unit(min(position, math.nextafter(1, 0)))
    assert again == pytest.approx(value, rel=1e-9, abs=1e-9 * (space.high - space.low))


@given(ranges)
def test_a_range_survives_the_way_through_its_optuna_distribution(space: Range) -> None:
    again = domain_of(space.distribution())
    assert isinstance(again, Range)
    for u in (0.0, 0.3, 0.999):
        assert again.from_unit(u) == pytest.approx(space.from_unit(u))


@given(ranges, unit)
def test_every_value_that_is_drawn_may_be_tried(space: Range, u: float) -> None:
    assert refusal(space, space.from_unit(u)) == ""


@given(ranges, st.floats(0, 1))
def test_what_lies_between_two_steps_is_refused_with_values_that_are_not(
    space: Range, place: float
) -> None:
    value = space.low + place * (space.high - space.low)
    if value <= space.high and not space.on_step(value):
        assert "between its steps" in refusal(space, value)
        nearest = space.nearest(value)
        assert nearest and all(refusal(space, near) == "" for near in nearest)
        assert min(abs(near - value) for near in nearest) <= (space.step or 1)


def test_steps_are_what_a_person_writes() -> None:
    tenths = Range(0.1, 1.0, False, 0.1)
    written = [float(f"0.{digit}") for digit in range(1, 10)] + [1.0]
    assert [tenths.from_unit(place / 10) for place in range(10)] == written
    assert list(grid_values(tenths, 5)) == written
    assert [tenths.snapped(0.1 + place * 0.1) for place in range(10)] == written


@given(
    st.decimals(-1000, 1000, places=3),
    st.decimals("0.001", 10, places=3),
    st.integers(2, 2000),
    unit,
)
def test_a_drawn_step_is_the_exact_decimal(
    low: Decimal, step: Decimal, count: int, u: float
) -> None:
    high = low + step * count
    space = Range(float(low), float(high), False, float(step))
    value = space.from_unit(u)
    place = round((Decimal(str(value)) - low) / step)
    assert value == float(low + place * step)
    assert space.snapped(math.nextafter(value, math.inf)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, True, "0.1", None, -1.0, 2.0])
def test_what_is_no_number_of_the_range_lies_outside(value: object) -> None:
    assert "outside" in refusal(Range(0, 1, False, 0.1), value)


def test_integers_get_bins_of_equal_width() -> None:
    space = Range(1, 3, integer=True)
    drawn = [space.from_unit(u) for u in np.linspace(0, 1, 3000, endpoint=False)]
    assert [drawn.count(value) for value in (1, 2, 3)] == [1000, 1000, 1000]


def test_a_log_range_is_uniform_in_the_logarithm() -> None:
    space = Range(1e-4, 1e-1, log=True)
    drawn = np.log10([space.from_unit(u) for u in np.linspace(0, 1, 500, endpoint=False)])
    assert stats.kstest(drawn, "uniform", args=(-4, 3)).pvalue > 0.99


def test_true_and_one_are_different_choices() -> None:
    choices = Choices((1, True, 0, False))
    assert [choices.index(value) for value in (1, True, 0, False)] == [0, 1, 2, 3]
    assert same_scalar(1, 1.0) and not same_scalar(1, True)


def _space(document: object) -> SearchSpace:
    problems: list[Problem] = []
    space = parse_search_space(document, problems)
    assert problems == []
    return space


TWO_OPTIMIZERS = {
    "optimizer": {"role": "scientific", "choices": ["adam", "sgd"]},
    "learning_rate": {"role": "nuisance", "low": 1e-4, "high": 1e-1, "log": True},
    "momentum": {"role": "nuisance", "low": 0.8, "high": 0.99, "when": {"optimizer": "sgd"}},
    "epochs": {"role": "fixed", "value": {"by": "optimizer", "adam": 50, "sgd": 100}},
}


def test_each_scientific_value_is_an_arm_with_its_own_parameters() -> None:
    adam, sgd = _space(TWO_OPTIMIZERS).arms()
    assert adam.label == "optimizer = adam"
    assert [hyperparameter.name for hyperparameter in adam.searched] == ["learning_rate"]
    assert [hyperparameter.name for hyperparameter in sgd.searched] == [
        "learning_rate",
        "momentum",
    ]
    assert adam.fixed == {"epochs": 50} and sgd.fixed == {"epochs": 100}
    assert sgd.complete({"learning_rate": 0.1, "momentum": 0.9}) == {
        "epochs": 100,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
    }


def test_two_scientific_hyperparameters_make_the_product_of_arms() -> None:
    space = _space(
        {
            "a": {"role": "scientific", "choices": [1, 2]},
            "b": {"role": "scientific", "choices": ["x", "y", "z"]},
            "c": {"role": "nuisance", "low": 0, "high": 1.0},
        }
    )
    assert len(space.arms()) == 6 and not space.is_mixed


def test_a_scientific_range_is_searched_in_one_mixed_space() -> None:
    space = _space(
        {
            "width": {"role": "scientific", "low": 16, "high": 512, "log": True},
            "learning_rate": {"role": "nuisance", "low": 1e-4, "high": 1e-1, "log": True},
        }
    )
    (arm,) = space.arms()
    assert space.is_mixed and [hyperparameter.name for hyperparameter in arm.searched] == [
        "width",
        "learning_rate",
    ]


def test_a_space_without_scientific_hyperparameters_has_one_arm() -> None:
    (arm,) = _space({"x": {"role": "nuisance", "low": 0.0, "high": 1.0}}).arms()
    assert arm.label == "" and arm.from_unit([0.25]) == {"x": 0.25}


def test_a_point_of_another_dimension_is_refused_with_both_numbers() -> None:
    (arm,) = _space({"x": {"role": "nuisance", "low": 0.0, "high": 1.0}}).arms()
    with pytest.raises(ValueError, match="expected 1 coordinates, got 2"):
        arm.from_unit([0.1, 0.2])


def test_a_fixed_hyperparameter_cannot_be_searched() -> None:
    space = _space(TWO_OPTIMIZERS)
    with pytest.raises(TypeError, match="epochs is fixed"):
        searched_domain(space["epochs"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["role", "low", "high", "log", "choices", "value", "when", "step", "by", "x"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    )
)
def test_any_document_parses_or_gives_problems_that_name_keys(document: object) -> None:
    problems: list[Problem] = []
    space = parse_search_space({"x": document, "y": document}, problems)
    assert problems or all(
        isinstance(hyperparameter, Hyperparameter) for hyperparameter in space.hyperparameters
    )
    assert all(problem.where.startswith("hyperparameters") for problem in problems)
    if not problems:
        for arm in space.arms():
            arm.from_unit([0.5] * len(arm.searched))


def _problems(document: object) -> dict[str, str]:
    problems: list[Problem] = []
    parse_search_space(document, problems)
    return {problem.where: problem.message for problem in problems}


def test_a_condition_in_a_mixed_space_is_refused_with_the_way_out() -> None:
    many = {"role": "scientific", "choices": [f"o{i}" for i in range(13)]}
    found = _problems(
        {
            "optimizer": many,
            "momentum": {
                "role": "nuisance",
                "low": 0.8,
                "high": 0.99,
                "when": {"optimizer": "o1"},
            },
            "epochs": {
                "role": "fixed",
                "value": {"by": "optimizer", **{f"o{i}": i + 1 for i in range(13)}},
            },
        }
    )
    assert set(found) == {
        "hyperparameters.momentum.when.optimizer",
        "hyperparameters.epochs.value.by",
    }
    assert "at most 12 combinations, so that each is an arm" in found[
        "hyperparameters.momentum.when.optimizer"
    ]  # fmt: skip


def test_a_condition_on_a_nuisance_hyperparameter_names_the_way_out() -> None:
    found = _problems(
        {
            "optimizer": {"role": "nuisance", "choices": ["adam", "sgd"]},
            "momentum": {
                "role": "nuisance",
                "low": 0.8,
                "high": 0.99,
                "when": {"optimizer": "sgd"},
            },
        }
    )
    assert "make optimizer scientific with choices" in found[
        "hyperparameters.momentum.when.optimizer"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "where", "says"),
    [
        ({"a": {"role": "scientific", "choices": [1, 2], "when": {"a": 1}}},
         "hyperparameters.a.when.a", "refers to itself"),
        ({"a": {"role": "scientific", "choices": [1, 2], "when": {"b": 1}},
          "b": {"role": "scientific", "choices": [1, 2], "when": {"a": 1}}},
         "hyperparameters.a", "depends on itself by way of b"),
        ({"a": {"role": "fixed", "value": "adam"},
          "b": {"role": "nuisance", "low": 0.0, "high": 1.0, "when": {"a": "sgd"}}},
         "hyperparameters.b", "exists in no arm"),
        ({**TWO_OPTIMIZERS, "epochs": {"role": "fixed", "value": {"by": "optimizer", "adam": 1}}},
         "hyperparameters.epochs.value", "says nothing for optimizer = 'sgd'"),
        ({**TWO_OPTIMIZERS,
          "epochs": {"role": "fixed",
                     "value": {"by": "optimizer", "adam": 1, "sgd": 2, "sdg": 3}}},
         "hyperparameters.epochs.value.sdg", "is no value of optimizer"),
        ({"a": {"role": "scientific", "choices": [1, "1"]},
          "b": {"role": "fixed", "value": {"by": "a", "1": 2}}},
         "hyperparameters.b.value", "cannot tell the choices 1 and '1' of a apart"),
        ({**TWO_OPTIMIZERS,
          "nesterov": {"role": "scientific", "choices": [True, False],
                       "when": {"optimizer": "sgd"}},
          "steps": {"role": "fixed", "value": {"by": "nesterov", True: 1, False: 2}}},
         "hyperparameters.steps.value", "as nesterov does not exist there"),
    ],
)  # fmt: skip
def test_conditions_that_cannot_hold_are_named(
    document: dict[str, object], where: str, says: str
) -> None:
    found = _problems(document)
    assert says in found[where]


def test_a_condition_on_something_conditional_holds_only_where_that_exists() -> None:
    space = _space(
        {
            "momentum": {"role": "nuisance", "low": 0.8, "high": 0.99, "when": {"nesterov": True}},
            "nesterov": {
                "role": "scientific",
                "choices": [True, False],
                "when": {"optimizer": "sgd"},
            },
            "optimizer": {"role": "scientific", "choices": ["adam", "sgd"]},
            "rate": {"role": "nuisance", "low": 1e-4, "high": 1e-1, "log": True},
        }
    )
    assert [
        (arm.label, [hyperparameter.name for hyperparameter in arm.searched])
        for arm in space.arms()
    ] == [
        ("optimizer = adam", ["rate"]),
        ("nesterov = yes, optimizer = sgd", ["rate", "momentum"]),
        ("nesterov = no, optimizer = sgd", ["rate"]),
    ]


def test_a_fixed_value_may_follow_another_fixed_one_in_any_order_of_the_file() -> None:
    (arm,) = _space(
        {
            "epochs": {"role": "fixed", "value": {"by": "corpus", "small": 50, "large": 5}},
            "corpus": {"role": "fixed", "value": "large"},
            "rate": {"role": "nuisance", "low": 1e-4, "high": 1e-1, "log": True},
        }
    ).arms()
    assert arm.fixed == {"epochs": 5, "corpus": "large"}


def test_yes_and_one_are_two_arms() -> None:
    space = _space(
        {
            "a": {"role": "scientific", "choices": [1, True]},
            "b": {"role": "nuisance", "low": 0.0, "high": 1.0},
        }
    )
    assert [arm.values["a"] for arm in space.arms()] == [1, True]


def test_keys_of_values_by_arm_are_the_same_in_yaml_and_json() -> None:
    by = {"role": "scientific", "choices": [True, None, 0.5, 2]}
    for keys in ((True, None, 0.5, 2), ("true", "null", "0.5", "2")):
        value = {"by": "a", **{key: index for index, key in enumerate(keys)}}
        space = _space({"a": by, "b": {"role": "fixed", "value": value}})
        assert [arm.fixed["b"] for arm in space.arms()] == [0, 1, 2, 3]


def test_arms_share_quasi_random_points_in_what_they_share_whatever_else_one_searches() -> None:
    first = {"momentum": TWO_OPTIMIZERS["momentum"], **TWO_OPTIMIZERS}
    first["dropout"] = {"role": "nuisance", "low": 0.0, "high": 0.5}
    adam, sgd = _space(first).arms()
    assert [hyperparameter.name for hyperparameter in adam.searched] == [
        "learning_rate",
        "dropout",
    ]
    assert [hyperparameter.name for hyperparameter in sgd.searched] == [
        "learning_rate",
        "dropout",
        "momentum",
    ]

    def rows(arm: Arm) -> list[dict[str, object]]:
        rng = np.random.default_rng(7)
        drawn = stats.qmc.Halton(len(arm.searched), scramble=True, rng=rng).random(8)
        return [dict(arm.from_unit(row.tolist())) for row in drawn]

    shared = [{name: row[name] for name in ("learning_rate", "dropout")} for row in rows(sgd)]
    assert shared == rows(adam)
