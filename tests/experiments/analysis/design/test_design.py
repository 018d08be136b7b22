from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.design.design import Part, listed, part_of, points_needed
from tests.experiments.analysis.design.designs import choice, parameter


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("learning_rate", Part.LEARNING_RATE),
        ("lr", Part.LEARNING_RATE),
        ("sgdLr", Part.LEARNING_RATE),
        ("lr_decay", Part.SCHEDULE),
        ("warmup_steps", Part.SCHEDULE),
        ("momentum", Part.MOMENTUM),
        ("adam_beta1", Part.BETA1),
        ("beta_2", Part.BETA2),
        ("one_minus_beta1", Part.BETA1),
        ("eps", Part.EPSILON),
        ("weight_decay", Part.WEIGHT_DECAY),
        ("wd", Part.WEIGHT_DECAY),
        ("optimizer", Part.OPTIMIZER),
        ("batch_size", Part.BATCH_SIZE),
        ("epochs", Part.STEPS),
        ("max_train_steps", Part.STEPS),
        ("dropout", Part.REGULARISER),
        ("hidden_units", Part.ARCHITECTURE),
        ("num_layers", Part.ARCHITECTURE),
        ("batch_norm", Part.ARCHITECTURE),
        ("temperature", Part.OTHER),
        ("學習率", Part.OTHER),
        ("", Part.OTHER),
    ],
)
def test_a_name_tells_what_a_hyperparameter_is_a_part_of(name: str, part: Part) -> None:
    assert part_of(name) is part


@pytest.mark.parametrize(("dimensions", "points"), [(0, 1), (1, 5), (2, 11), (3, 23), (4, 47)])
def test_each_continuous_dimension_about_doubles_the_points_that_a_space_needs(
    dimensions: int, points: int
) -> None:
    assert points_needed([parameter(f"x{i}", "nuisance") for i in range(dimensions)]) == points


def test_so_many_points_do_hit_the_better_half_of_every_range_19_times_in_20() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.random((20_000, 23, 3))
    hit = (drawn < 0.5).all(axis=2).any(axis=1).mean()
    assert 0.945 < hit < 0.96


def test_one_choice_is_no_dimension_and_two_are_one() -> None:
    assert points_needed([choice("a", "nuisance", 1)]) == 1
    assert points_needed([choice("a", "nuisance", 1, 2)]) == 5
    assert points_needed([choice("a", "nuisance", 1, 2, 3)]) < 5  # two of three are good enough


@given(st.integers(0, 60))
def test_many_dimensions_need_many_points_and_overflow_nothing(dimensions: int) -> None:
    needed = points_needed([parameter(f"x{i}", "nuisance") for i in range(dimensions)])
    assert needed >= max(1, 2 ** (dimensions - 1)) and math.isfinite(needed)


def test_names_are_listed_as_in_a_sentence() -> None:
    assert [listed(["a", "b", "c"][:count]) for count in range(4)] == [
        "", "a", "a and b", "a, b and c"
    ]  # fmt: skip
