"""Whatever stands under a key, it fits or becomes problems of a line each that name the key."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from experiments.design import catalogue
from experiments.design.document.experiment_file import FilePart
from experiments.design.document.file_fields import Part, checked
from experiments.design.space import search_space_parsing
from experiments.errors import Problem

VALUES = (
    True, 0, -1, 2**63, 10**400, 0.5, 1e308, math.nan, -math.inf, "", "x" * 300, "\ud800", b"x",
    [], [None], [[1]], [1] * 2000, {}, {1: 2}, ("a",), object(),
)  # fmt: skip


def _parts(part: type[Part] = Part) -> Iterator[type[Part]]:
    for subclass in part.__subclasses__():
        yield subclass
        yield from _parts(subclass)


PARTS = [part for part in _parts() if part.__module__.startswith("experiments.")]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_any_value_under_any_key_fits_or_is_told_at_its_key(part: type[Part]) -> None:
    for key in part.model_fields:
        for value in VALUES:
            problems: list[Problem] = []
            checked(part, {key: value}, "here", problems)
            others = {f"here.{name}" for name in part.model_fields if name != key}
            for problem in problems:
                alone = problem.where.startswith(f"here.{key}")
                assert alone or (problem.where in others and "missing" in problem.message)
                assert len(problem.message) < 500


@pytest.mark.parametrize("found", [3, "text", [1], True])
def test_what_is_no_mapping_is_told_once(found: Any) -> None:
    problems: list[Problem] = []
    checked(FilePart, found, "here", problems)
    assert [problem.where for problem in problems] == ["here"]


def test_a_long_list_of_wrong_values_is_told_once() -> None:
    problems: list[Problem] = []
    entry = {"role": "nuisance", "choices": [[1]] * 100_000}
    search_space_parsing.parse_search_space({"x": entry}, problems)
    checked(FilePart, {"tags": [1] * 100_000}, "", problems)
    assert [problem.where for problem in problems].count("tags.1") == 1
    assert len(problems) < 10


def test_options_of_methods_take_their_words_beside_numbers() -> None:
    resource = catalogue.PRUNERS["hyperband"].options["max_resource"]
    assert resource.problem("auto") is None and resource.problem(3) is None
    assert resource.problem("x") == "must be a whole number or auto (found 'x')"
    share = catalogue.PRUNERS["percentile"].options["percentile"]
    assert share.problem(math.nan) == "must be a finite number (found nan)"
    assert share.problem(True) == "must be a finite number (found True)"
