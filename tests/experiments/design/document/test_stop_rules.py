from __future__ import annotations

from typing import Any

import pytest

from experiments.design.catalogue import TERMINATORS
from experiments.design.document.search_methods import Chosen
from tests.experiments.design.document.test_search_methods import parsed, problems


def test_every_rule_that_is_a_number_is_read() -> None:
    stop = {"trials": 40, "minutes": 30, "gpu_hours": 0.5, "no_improvement_for": 20}
    assert parsed({}, stop=stop).stop == stop


@pytest.mark.parametrize(
    ("stop", "where", "says"),
    [
        ({"hours": 1}, "stop.hours", "trials, minutes, gpu_hours, no_improvement_for, terminator"),
        ({"trials": 0}, "stop.trials", "more than 0"),
        ({"trials": 1.5}, "stop.trials", "whole number"),
        ({"gpu_hours": "2"}, "stop.gpu_hours", "a finite number"),
        ({"terminator": "bayes"}, "stop.terminator", "regret_bound, emmr"),
        ({"terminator": {"name": "emmr", "x": 1}}, "stop.terminator.x", "emmr takes min_n_trials"),
        ({"terminator": "regret_bound"}, "stop.terminator", "folds"),
    ],
)
def test_a_wrong_rule_is_named(stop: dict[str, Any], where: str, says: str) -> None:
    assert says in problems({}, stop=stop)[where]


def test_a_terminator_takes_the_error_from_folds_where_there_are_some() -> None:
    assert parsed({}, stop={"terminator": True}).terminator == Chosen("emmr")
    assert parsed({}, stop={"terminator": True}, folds=5).terminator == Chosen("regret_bound")
    assert parsed({}, stop={"terminator": False}).terminator is None
    assert parsed({}).terminator is None


@pytest.mark.parametrize("name", TERMINATORS)
def test_every_terminator_is_taken_with_its_options(name: str) -> None:
    options = {key: held.default for key, held in TERMINATORS[name].options.items()}
    found = parsed({}, folds=5, stop={"terminator": {"name": name, **options}}).terminator
    assert found == Chosen(name, options)
