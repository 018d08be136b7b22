from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from workers.problems import parameters


@dataclass(frozen=True)
class Few:
    name: str = "adam"
    width: int = 3
    rate: float = 0.1


def test_what_is_not_named_keeps_its_default() -> None:
    assert parameters.read(Few, {"width": 5}) == Few(width=5)


def test_whole_floats_are_whole_numbers_and_whole_numbers_are_floats() -> None:
    read = parameters.read(Few, {"width": 64.0, "rate": 1})
    assert (read.width, type(read.width), type(read.rate)) == (64, int, float)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"widht": 3}, "unknown parameter 'widht'; known are name, width, rate"),
        ({"width": 2.5}, "width: found 2.5, expected a whole number"),
        ({"width": True}, "width: found True, expected a whole number"),
        ({"width": math.nan}, "width: found nan, expected a whole number"),
        ({"rate": "fast"}, "rate: found 'fast', expected a number"),
        ({"name": 3}, "name: found 3, expected a name"),
    ],
)
def test_a_wrong_parameter_is_named(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parameters.read(Few, params)


@pytest.mark.parametrize("value", [-0.1, 1.0, math.nan, math.inf])
def test_a_number_outside_its_limits_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"dropout: found .*, expected 0 <= dropout < 1"):
        parameters.check_number("dropout", value, 0, 1)


def test_a_name_outside_the_choices_is_refused() -> None:
    parameters.check_choice("optimizer", "sgd", ("sgd", "adam"))
    with pytest.raises(ValueError, match="found 'lion', expected one of sgd, adam"):
        parameters.check_choice("optimizer", "lion", ("sgd", "adam"))
