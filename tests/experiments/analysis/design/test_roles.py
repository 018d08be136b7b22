from __future__ import annotations

import pytest

from experiments.analysis.design.design import Design
from experiments.analysis.design.roles import (
    conditions_need_arms,
    fixed_interactions,
    kinds_and_roles,
    one_question,
    optimizer_roles,
    roles,
)
from experiments.analysis.diagnosis import Severity, Status
from tests.experiments.analysis.design.designs import (
    DROPOUT,
    EPOCHS,
    OPTIMIZER,
    RATE,
    SMOOTHING,
    choice,
    design,
    parameter,
)

FIXED_RATE = parameter("learning_rate", "fixed")


def test_fixed_hyperparameters_are_named_as_limits_of_the_conclusion() -> None:
    told = roles(design())
    assert told.status is Status.PASSED
    assert told.detail == "What is found holds for the fixed values of optimizer and epochs only."


def test_a_comparison_without_anything_scientific_is_refused_and_a_plain_search_noticed() -> None:
    plain = roles(design(RATE, DROPOUT))
    assert plain.fired and plain.severity is Severity.NOTICE
    comparison = roles(design(RATE, DROPOUT, compares=True))
    assert comparison.fired and comparison.severity is Severity.PROBLEM


def test_a_fixed_learning_rate_makes_a_comparison_unfair() -> None:
    told = optimizer_roles(
        design(SMOOTHING, FIXED_RATE, parameter("momentum", "nuisance"), DROPOUT)
    )
    assert told.fired and told.severity is Severity.WARNING
    assert told.title == "Unfair comparison: the learning rate is fixed"
    assert told.subject == "hyperparameters.learning_rate"


def test_an_optimizer_with_everything_fixed_is_told_more_strongly() -> None:
    told = optimizer_roles(
        design(SMOOTHING, FIXED_RATE, parameter("weight_decay", "fixed"), DROPOUT)
    )
    assert told.title == "Unfair comparison: everything of the optimizer is fixed"


def test_where_nothing_is_compared_a_fixed_learning_rate_is_no_unfairness() -> None:
    assert not optimizer_roles(design(FIXED_RATE, DROPOUT)).fired


def test_a_scientific_learning_rate_is_noticed() -> None:
    told = optimizer_roles(design(parameter("learning_rate", "scientific"), DROPOUT, mixed=True))
    assert told.fired and told.severity is Severity.NOTICE


def test_a_retuned_optimizer_passes_and_an_unknown_one_cannot_be_told() -> None:
    assert optimizer_roles(design()).detail == "learning_rate is retuned."
    assert optimizer_roles(design(SMOOTHING, DROPOUT)).status is Status.NOT_CHECKABLE


@pytest.mark.parametrize(
    "odd",
    [
        choice("optimizer", "nuisance", "adam", "sgd"),
        choice("hidden_units", "nuisance", 32, 64),
        choice("use_dropout", "nuisance", True, False),
    ],
)
def test_what_should_be_asked_about_or_fixed_is_noticed_when_tuned(odd: object) -> None:
    told = kinds_and_roles(design(SMOOTHING, RATE, odd))  # type: ignore[arg-type]
    assert told.fired and told.severity is Severity.NOTICE
    assert told.subject.startswith("hyperparameters.")


def test_the_strength_of_a_regulariser_is_better_tuned_than_compared() -> None:
    told = kinds_and_roles(design(parameter("dropout", "scientific"), RATE, mixed=True))
    assert told.fired and "strength" in told.title
    assert not kinds_and_roles(design()).fired


def test_a_fixed_weight_decay_beside_a_varying_model_is_a_reminder() -> None:
    size = choice("layers", "scientific", 1, 4)
    told = fixed_interactions(design(size, RATE, parameter("weight_decay", "fixed")))
    assert told.fired and told.severity is Severity.NOTICE
    assert "No earlier trials say" in told.detail


def test_a_measured_interaction_is_a_warning_with_its_number() -> None:
    measured = {("epochs", "label_smoothing"): 0.25, ("optimizer", "label_smoothing"): 0.02}
    told = fixed_interactions(design(interactions=measured))
    assert told.fired and told.severity is Severity.WARNING
    assert told.evidence["fixed"] == ["epochs"] and "25 %" in told.detail
    assert not fixed_interactions(design(interactions={("dropout", "learning_rate"): 0.9})).fired


def test_a_value_of_each_arm_is_not_called_fixed_beside_what_it_follows() -> None:
    held = parameter("weight_decay", "fixed", needs=("layers",))
    assert not fixed_interactions(design(choice("layers", "scientific", 1, 4), RATE, held)).fired


CONDITIONAL = parameter("momentum", "nuisance", needs=("optimizer",))
OPTIMIZERS = choice("optimizer", "scientific", "adam", "sgd")


def test_conditions_are_kept_apart_by_arm_and_refused_in_a_mixed_space() -> None:
    apart = conditions_need_arms(design(OPTIMIZERS, RATE, CONDITIONAL))
    assert apart.status is Status.PASSED
    assert apart.detail == "momentum is kept apart in each of 2 arms."
    mixed = conditions_need_arms(design(OPTIMIZERS, RATE, CONDITIONAL, mixed=True))
    assert mixed.fired and mixed.severity is Severity.PROBLEM


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (design(goal=" "), "There is no goal"),
        (design(SMOOTHING, OPTIMIZERS, RATE), "2 scientific hyperparameters at once"),
        (design(goal="Is it faster? Is it better?"), "The goal asks several questions"),
    ],
)
def test_one_question_is_asked_at_a_time(asked: Design, says: str) -> None:
    assert one_question(asked).title == says


def test_one_goal_with_one_scientific_hyperparameter_passes() -> None:
    assert one_question(design(SMOOTHING, RATE, OPTIMIZER, EPOCHS)).status is Status.PASSED
