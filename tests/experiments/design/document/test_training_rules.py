from __future__ import annotations

import json
from typing import Any

import pytest

from experiments.analysis.curves.early_stopping import EarlyStopping, Patience
from experiments.design.document.experiment_file import as_document
from experiments.design.document.fidelity import Fidelity
from experiments.design.space.search_space import Fixed
from tests.experiments.design.document.test_search_methods import parsed, problems

EPOCHS = {"name": "epochs", "min": 2, "max": 60}


def test_early_stopping_watches_the_official_metric_unless_another_is_named() -> None:
    file = parsed({}, early_stopping={"patience": 5})
    assert file.early_stopping == EarlyStopping("", None, Patience(5, 0.0, "since_best"))
    named = {"metric": "validation_loss", "patience": 5, "min_delta": 0.01, "rule": "cumulative"}
    held = parsed({}, early_stopping=named).early_stopping
    assert held == EarlyStopping("validation_loss", False, Patience(5, 0.01, "cumulative"))


@pytest.mark.parametrize(
    ("given", "where", "says"),
    [
        ({}, "early_stopping.patience", "is missing"),
        ({"patience": 0}, "early_stopping.patience", "from 1"),
        ({"patience": 2, "min_delta": -1}, "early_stopping.min_delta", "at least 0"),
        ({"patience": 2, "rule": "never"}, "early_stopping.rule", "consecutive, cumulative"),
        ({"patience": 2, "wait": 1}, "early_stopping.wait", "unknown key"),
        ({"patience": 2, "metric": "test_accuracy"}, "early_stopping.metric", "test metric"),
        ({"patience": 2, "metric": "foo"}, "early_stopping.metric", "its direction"),
        (5, "early_stopping", "must be a mapping"),
    ],
)
def test_a_wrong_early_stopping_is_named(given: Any, where: str, says: str) -> None:
    assert says in problems({}, early_stopping=given)[where]


def test_the_whole_budget_is_a_fixed_hyperparameter_of_every_configuration() -> None:
    file = parsed({}, fidelity=EPOCHS)
    assert file.fidelity == Fidelity("epochs", 2, 60)
    assert file.space["epochs"].domain == Fixed(60)
    assert file.arms()[0].complete({})["epochs"] == 60
    space = {"learning_rate": {"role": "nuisance", "low": 0.0, "high": 1.0},
             "epochs": {"role": "fixed", "value": 60}}  # fmt: skip
    assert len(parsed({}, space=space, fidelity=EPOCHS).space.hyperparameters) == 2


@pytest.mark.parametrize(
    "epochs",
    [{"role": "fixed", "value": 50}, {"role": "nuisance", "low": 1, "high": 60}],
)
def test_a_hyperparameter_of_the_fidelitys_name_must_be_its_whole_budget(
    epochs: dict[str, Any],
) -> None:
    space = {"learning_rate": {"role": "nuisance", "low": 0.0, "high": 1.0}, "epochs": epochs}
    found = problems({}, space=space, fidelity=EPOCHS)
    assert "whose max is 60" in found["hyperparameters.epochs"]


@pytest.mark.parametrize(
    ("given", "where", "says"),
    [
        ({"name": "days", "min": 1, "max": 2}, "fidelity.name", "epochs, data_fraction, width"),
        ({"name": "epochs", "max": 2}, "fidelity.min", "is missing"),
        ({"name": "epochs", "min": 0, "max": 2}, "fidelity.min", "at least 1"),
        ({"name": "epochs", "min": 1.5, "max": 2}, "fidelity.min", "whole number"),
        ({"name": "epochs", "min": 3, "max": 3}, "fidelity.min", "less than max"),
        ({"name": "data_fraction", "min": 0.1, "max": 2}, "fidelity.max", "at most 1"),
        ({"name": "width", "min": 1, "max": 8, "step": 2}, "fidelity.step", "unknown key"),
    ],
)
def test_a_wrong_fidelity_is_named(given: dict[str, Any], where: str, says: str) -> None:
    assert says in problems({}, fidelity=given)[where]


@pytest.mark.parametrize("folds", [1, 101, True, "five", 2.5])
def test_folds_are_a_whole_number_of_at_least_two(folds: Any) -> None:
    assert "from 2 to 100" in problems({}, folds=folds)["folds"]


def test_folds_and_a_fidelity_do_not_go_together() -> None:
    assert "leave out" in problems({}, folds=5, fidelity=EPOCHS)["fidelity"]


def test_later_steps_find_the_rules_in_the_stored_document() -> None:
    kept = json.loads(as_document(parsed({}, fidelity=EPOCHS, early_stopping={"patience": 3})))
    assert kept["fidelity"] == {"name": "epochs", "low": 2, "high": 60}
    assert kept["early_stopping"]["patience"]["rule"] == "since_best"
    assert json.loads(as_document(parsed({}, folds=4)))["folds"] == 4
