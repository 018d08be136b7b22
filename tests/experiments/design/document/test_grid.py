from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.design.document.grid import arm_grid, grid_size, grid_values
from experiments.design.space.search_space import Choices, Range
from experiments.design.space.search_space_parsing import parse_search_space

ranges = st.builds(
    lambda low, width, integer: Range(float(low), float(low + width), integer=integer),
    st.integers(-50, 50),
    st.integers(1, 200),
    st.booleans(),
)


def test_a_log_scale_is_divided_evenly_in_the_exponent() -> None:
    values = grid_values(Range(1e-4, 1.0, log=True), 5)
    assert values == pytest.approx((1e-4, 1e-3, 1e-2, 1e-1, 1.0))
    assert (values[0], values[-1]) == (1e-4, 1.0)


def test_steps_and_choices_are_all_there_whatever_the_points() -> None:
    assert grid_values(Range(0.0, 0.5, step=0.1), 2) == pytest.approx((0, 0.1, 0.2, 0.3, 0.4, 0.5))
    assert grid_values(Choices(("adam", "sgd", None)), 2) == ("adam", "sgd", None)
    assert grid_values(Range(1, 4, integer=True), 10) == (1, 2, 3, 4)


def test_whole_numbers_stay_whole_and_different() -> None:
    assert grid_values(Range(16, 1024, log=True, integer=True), 4) == (16, 64, 256, 1024)
    assert grid_values(Range(1, 3, log=True, integer=True), 3) == (1, 2, 3)


@given(ranges, st.integers(2, 20))
def test_both_edges_are_in_the_grid_and_nothing_lies_outside(domain: Range, points: int) -> None:
    values = grid_values(domain, points)
    assert values[0] == domain.low and values[-1] == domain.high
    assert all(domain.holds(value) for value in values)
    assert len(set(values)) == len(values) <= max(points, 2)


def test_an_arms_grid_is_the_product_of_its_searched_values() -> None:
    space = parse_search_space(
        {
            "optimizer": {"role": "scientific", "choices": ["adam", "sgd"]},
            "learning_rate": {"role": "nuisance", "low": 1e-3, "high": 1.0, "log": True},
            "momentum": {
                "role": "nuisance",
                "low": 0.0,
                "high": 0.9,
                "when": {"optimizer": "sgd"},
            },
        },
        [],
    )
    adam, sgd = space.arms()
    assert (grid_size(adam, 4), grid_size(sgd, 4)) == (4, 16)
    assert list(arm_grid(sgd, 4)) == ["learning_rate", "momentum"]
