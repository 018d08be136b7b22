from __future__ import annotations

import pytest

from experiments.analysis.design.checks import check_design
from experiments.analysis.design.design import Part
from experiments.analysis.diagnosis import Severity
from experiments.design.document import experiment_file
from experiments.design.review.design_description import describe
from experiments.errors import InvalidExperiment

HEAD = """
project: digits
experiment: roles
goal: Does label smoothing help?
objective: workers.problems.digits:train
"""
FILE = (
    HEAD
    + """
metrics: {train_loss: {official: true}}
search: {sampler: tpe, trials: 12, parallel: 3}
hyperparameters:
  optimizer: {role: scientific, choices: [adam, sgd]}
  momentum: {role: nuisance, low: 0.8, high: 0.99, when: {optimizer: sgd}}
  learning_rate: {role: nuisance, low: 1e-4, high: 1e-1, log: true}
  units: {role: nuisance, low: 32, high: 512, step: 32}
  epochs: {role: fixed, value: {by: optimizer, adam: 50, sgd: 100}}
"""
)


def test_a_file_is_described_in_plain_values() -> None:
    found = describe(experiment_file.parse(FILE))
    assert (found.sampler, found.adaptive, found.quasi_random) == ("tpe", True, False)
    assert (found.parallel, found.objective_split, found.mixed) == (3, "train", False)
    parameters = {parameter.name: parameter for parameter in found.parameters}
    assert parameters["momentum"].needs == ("optimizer",)
    assert parameters["units"].values == 16 and parameters["learning_rate"].values is None
    assert parameters["epochs"].choices == (50, 100) and parameters["epochs"].part is Part.STEPS
    adam, sgd = found.arms
    assert adam.searched == ("learning_rate", "units") and adam.trials == 12
    assert sgd.values == {"epochs": 100, "optimizer": "sgd"}
    assert sgd.searched == ("learning_rate", "units", "momentum")


def test_named_arms_are_what_is_compared() -> None:
    text = FILE.replace("metrics", "arms: {a: {commit: 4f1c2e9}, b: {}}\nmetrics")
    found = describe(experiment_file.parse(text))
    (named, _) = found.of_role("scientific")
    assert (named.name, named.part, named.key) == ("arm", Part.ARM, "arms")
    assert len(found.arms) == 4


def test_the_official_metric_may_be_the_project_s() -> None:
    text = FILE.replace("metrics: {train_loss: {official: true}}\n", "")
    assert describe(experiment_file.parse(text), official="train_f1").objective_split == "train"
    assert describe(experiment_file.parse(text), official="f1").objective_split == "validation"


def test_a_comparison_without_anything_scientific_is_refused_with_its_key() -> None:
    text = (
        HEAD
        + "compares: true\nsearch: {trials: 9}\nhyperparameters:\n"
        + "  learning_rate: {role: nuisance, low: 1e-4, high: 1e-1, log: true}\n"
    )
    with pytest.raises(InvalidExperiment) as raised:
        experiment_file.parse(text)
    assert [problem.where for problem in raised.value.problems] == ["compares"]
    told = check_design(describe(experiment_file.parse(text.replace("compares: true\n", ""))))
    assert [check.number for check in told if check.diagnosis.fired] == ["R1"]


@pytest.mark.parametrize(
    ("line", "rule", "severity"),
    [
        ("learning_rate: {role: fixed, value: 0.1}", "R2", Severity.WARNING),
        ("batch_size: {role: nuisance, choices: [16, 64]}", "R11", Severity.WARNING),
        ("epochs: {role: nuisance, low: 5, high: 50}", "R12", Severity.WARNING),
        ("beta2: {role: nuisance, low: 0.9, high: 0.999}", "R13", Severity.WARNING),
        ("layers: {role: nuisance, low: 1, high: 3}", "R3", Severity.NOTICE),
        ("weight_decay: {role: scientific, choices: [0.0, 0.1]}", "R8", Severity.NOTICE),
    ],
)
def test_a_line_of_a_file_brings_its_rule(line: str, rule: str, severity: Severity) -> None:
    text = (
        HEAD
        + "search: {trials: 24}\nhyperparameters:\n"
        + "  label_smoothing: {role: scientific, choices: [0.0, 0.1]}\n"
        + "  dropout: {role: nuisance, low: 0.0, high: 0.5}\n"
        + f"  {line}\n"
    )
    told = check_design(describe(experiment_file.parse(text)))
    fired = {check.number: check.diagnosis for check in told if check.diagnosis.fired}
    assert fired[rule].severity is severity
    name = line.split(":")[0]
    assert fired[rule].subject == f"hyperparameters.{name}"
