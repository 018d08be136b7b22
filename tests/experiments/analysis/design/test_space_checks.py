from __future__ import annotations

import pytest

from experiments.analysis.design.space_checks import (
    batch_size_not_tuned,
    grid_dimensions,
    points_for_the_space,
    scientific_values_even,
    steps_not_tuned,
)
from experiments.analysis.diagnosis import Severity, Status
from tests.experiments.analysis.design.designs import (
    DROPOUT,
    RATE,
    SMOOTHING,
    choice,
    design,
    parameter,
)

WIDTH = parameter("width", "scientific", low=16, high=512)
MANY = choice("activation", "scientific", *range(20))


def test_an_adaptive_sampler_in_a_mixed_space_is_warned_about() -> None:
    told = scientific_values_even(
        design(WIDTH, RATE, mixed=True, sampler="tpe", quasi_random=False, adaptive=True)
    )
    assert told.fired and told.severity is Severity.WARNING
    assert told.subject == "search.sampler" and "halton" in told.advice


def test_in_arms_of_their_own_an_adaptive_sampler_cannot_starve_a_value() -> None:
    assert not scientific_values_even(design(sampler="tpe", adaptive=True)).fired


def test_a_mixed_space_needs_five_trials_for_each_scientific_value() -> None:
    few = scientific_values_even(design(MANY, RATE, mixed=True, trials=80))
    assert few.fired and "about 4 each; 5 or more are needed" in few.detail
    assert not scientific_values_even(design(MANY, RATE, mixed=True, trials=100)).fired


def test_the_three_numbers_of_a_space_are_told() -> None:
    told = points_for_the_space(design())
    assert told.status is Status.PASSED
    assert told.detail == (
        "Scientific values: 2. Wide: learning_rate 3 decades and dropout 0 to 0.5. "
        "Dense: 24 trials in 2 dimensions; 11 or more are needed."
    )


@pytest.mark.parametrize(
    ("trials", "severity"), [(4, Severity.WARNING), (5, Severity.WARNING), (6, Severity.NOTICE),
                             (10, Severity.NOTICE), (11, None)],
)  # fmt: skip
def test_too_few_points_are_noticed_and_fewer_than_half_warned_about(
    trials: int, severity: Severity | None
) -> None:
    told = points_for_the_space(design(trials=trials))
    assert (told.severity if told.fired else None) is severity


def test_in_a_mixed_space_each_scientific_value_needs_its_points() -> None:
    told = points_for_the_space(design(WIDTH, RATE, DROPOUT, mixed=True, trials=54))
    assert told.fired and told.evidence["points_needed"] == 5 * 11
    assert told.evidence["scientific_values"] == "a continuum"


@pytest.mark.parametrize("role", ["nuisance", "scientific"])
def test_a_batch_size_chosen_by_validation_is_warned_about(role: str) -> None:
    told = batch_size_not_tuned(design(choice("batch_size", role, 16, 64), RATE))
    assert told.fired and told.severity is Severity.WARNING
    assert told.subject == "hyperparameters.batch_size"


def test_a_fixed_batch_size_or_a_training_objective_passes() -> None:
    assert not batch_size_not_tuned(design(choice("batch_size", "fixed", 16), RATE)).fired
    tuned = design(choice("batch_size", "nuisance", 16, 64), objective_split="train")
    assert not batch_size_not_tuned(tuned).fired


def test_steps_that_vary_inside_a_study_are_warned_about_and_between_arms_noticed() -> None:
    inside = steps_not_tuned(design(SMOOTHING, RATE, choice("epochs", "nuisance", 10, 50)))
    assert inside.fired and inside.severity is Severity.WARNING
    arms = steps_not_tuned(design(choice("max_train_steps", "scientific", 10, 50), RATE))
    assert arms.fired and arms.severity is Severity.NOTICE
    mixed = steps_not_tuned(design(parameter("epochs", "scientific"), RATE, mixed=True))
    assert mixed.fired and mixed.severity is Severity.WARNING
    assert not steps_not_tuned(design()).fired


def test_a_grid_is_fine_in_two_dimensions_and_not_in_three() -> None:
    three = (SMOOTHING, RATE, DROPOUT, parameter("momentum", "nuisance"))
    assert grid_dimensions(design(*three, sampler="grid")).fired
    assert not grid_dimensions(design(sampler="grid")).fired
    assert not grid_dimensions(design(*three)).fired
