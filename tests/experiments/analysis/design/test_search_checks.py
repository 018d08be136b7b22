from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.design.search_checks import (
    above_chance,
    adam_budget,
    explore_first,
    twice_the_budget,
)
from experiments.analysis.diagnosis import Severity, Status
from tests.experiments.analysis.design.designs import (
    OPTIMIZER,
    RATE,
    SMOOTHING,
    choice,
    design,
    parameter,
)

TPE = {"sampler": "tpe", "adaptive": True, "quasi_random": False}


def test_an_adaptive_sampler_waits_until_the_space_is_settled() -> None:
    told = explore_first(design(**TPE))
    assert told.fired and told.severity is Severity.WARNING
    assert explore_first(design(**TPE, ready_to_exploit=False)).fired
    assert not explore_first(design(**TPE, ready_to_exploit=True)).fired
    assert not explore_first(design()).fired


def test_random_points_are_noticed() -> None:
    told = explore_first(design(sampler="random", quasi_random=False))
    assert told.fired and told.severity is Severity.NOTICE and "halton" in told.advice


@pytest.mark.parametrize(
    ("parallel", "adaptive", "fires"), [(5, True, True), (4, True, False), (24, False, False)]
)
def test_an_adaptive_sampler_needs_rounds_to_learn_in(
    parallel: int, adaptive: bool, fires: bool
) -> None:
    found = design(trials=24, parallel=parallel, adaptive=adaptive)
    assert twice_the_budget(found).fired is fires


ADAM = {
    1: parameter("beta1", "nuisance"),
    2: parameter("epsilon", "nuisance"),
    3: parameter("beta2", "nuisance"),
}


@pytest.mark.parametrize(
    ("trials", "allowed"), [(9, 0), (10, 1), (24, 1), (25, 2), (49, 2), (50, 3), (1000, 3)]
)
def test_the_budget_of_an_arm_decides_what_of_adam_is_tuned(trials: int, allowed: int) -> None:
    for tuned in range(4):
        extra = [ADAM[index] for index in range(1, tuned + 1)]
        told = adam_budget(design(SMOOTHING, RATE, OPTIMIZER, *extra, trials=trials))
        assert told.fired is (tuned > allowed), (trials, tuned)
        if told.fired:
            assert told.evidence["beyond"] == sorted(setting.name for setting in extra[allowed:])


def test_only_arms_of_adam_are_judged() -> None:
    sgd = choice("optimizer", "fixed", "sgd")
    untold = adam_budget(design(SMOOTHING, RATE, sgd, *ADAM.values(), trials=5))
    assert untold.status is Status.NOT_CHECKABLE
    assert adam_budget(design(SMOOTHING, RATE, *ADAM.values(), trials=5)).fired
    both = choice("optimizer", "nuisance", "sgd", "AdamW")
    assert adam_budget(design(SMOOTHING, RATE, both, *ADAM.values(), trials=5)).fired


def test_a_baseline_three_spreads_above_chance_passes() -> None:
    scores = [0.50, 0.52, 0.54]
    assert not above_chance(scores, 0.1, Direction.MAXIMIZE).fired
    hardly = above_chance(scores, 0.47, Direction.MAXIMIZE)
    assert hardly.fired and hardly.evidence["gain"] == pytest.approx(0.05)


def test_an_error_must_lie_below_the_error_of_predicting_the_mean() -> None:
    assert not above_chance([0.5, 0.52, 0.51], 1.0, Direction.MINIMIZE).fired
    assert above_chance([1.5, 1.52, 1.51], 1.0, Direction.MINIMIZE).fired


def test_seeds_that_agree_by_luck_do_not_beat_chance_on_few_examples() -> None:
    same = [0.56, 0.56, 0.56]
    assert not above_chance(same, 0.5, Direction.MAXIMIZE).fired
    assert above_chance(same, 0.5, Direction.MAXIMIZE, evaluated_on=100).fired
    assert not above_chance(same, 0.5, Direction.MAXIMIZE, evaluated_on=10_000).fired


def test_a_seed_that_does_not_train_fires_and_one_seed_is_not_enough() -> None:
    assert above_chance([0.9, math.nan], 0.1, Direction.MAXIMIZE).fired
    assert above_chance([0.9], 0.1, Direction.MAXIMIZE).status is Status.NOT_CHECKABLE
    assert above_chance([], math.nan, Direction.MAXIMIZE).status is Status.NOT_CHECKABLE


@settings(max_examples=50)
@given(st.lists(st.floats(), max_size=5), st.floats(), st.sampled_from(list(Direction)))
def test_any_numbers_get_an_answer(
    scores: list[float], chance: float, direction: Direction
) -> None:
    with np.errstate(all="ignore"):
        assert above_chance(scores, chance, direction).title
