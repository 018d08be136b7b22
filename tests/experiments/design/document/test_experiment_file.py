from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.design.document.experiment_file import (
    ExperimentFile,
    as_document,
    parse,
    parse_document,
    stored,
)
from experiments.errors import InvalidExperiment

GOOD = """
project: digits
experiment: label-smoothing
goal: Does label smoothing raise validation accuracy once the learning rate is retuned?
objective: workers.problems.digits:train
config_link: https://git.example.org/team/digits/label-smoothing.yaml
metrics:
  validation_accuracy: {official: true, direction: maximize, resolution: 0.0028}
search: {sampler: halton, trials: 24, parallel: 2, seed: 0, pruner: none}
stop: {minutes: 60, no_improvement_for: 20}
hyperparameters:
  label_smoothing: {role: scientific, choices: [0.0, 0.1]}
  learning_rate:   {role: nuisance, low: 1e-4, high: 1.0e-1, log: true}
  dropout:         {role: nuisance, low: 0.0, high: 0.5, natural: [low]}
  hidden_units:    {role: nuisance, choices: [32, 64, 128], ordered: true}
  optimizer:       {role: fixed, value: adam}
first: [{learning_rate: 0.001, dropout: 0.2, hidden_units: 128}]
"""


def _problems(text: str) -> dict[str, str]:
    with pytest.raises(InvalidExperiment) as raised:
        parse(text)
    return {problem.where: problem.message for problem in raised.value.problems}


def test_a_good_file_says_everything_that_a_search_needs() -> None:
    file = parse(GOOD)
    assert isinstance(file, ExperimentFile)
    assert (file.project, file.name, file.sampler, file.trials) == (
        "digits",
        "label-smoothing",
        "halton",
        24,
    )
    assert file.official == "validation_accuracy"
    assert len(file.arms()) == 2 and file.stop == {"minutes": 60, "no_improvement_for": 20}
    assert file.space["learning_rate"].domain.low == 1e-4  # type: ignore[union-attr]
    assert stored(as_document(file)) == file


def test_json_is_as_good_as_yaml() -> None:
    import yaml

    assert parse(json.dumps(yaml.safe_load(GOOD.replace("1e-4", "1.0e-4")))) == parse(GOOD)


def test_all_errors_are_reported_together_with_their_keys() -> None:
    found = _problems(
        GOOD.replace("goal:", "goel:")
        .replace("low: 1e-4", "low: 0")
        .replace("role: fixed", "role: fixt")
        .replace("sampler: halton", "sampler: halten")
        .replace("workers.problems.digits:train", "workers.problems.digits")
    )
    assert set(found) == {
        "goel",
        "goal",
        "hyperparameters.learning_rate.low",
        "hyperparameters.optimizer.role",
        "search.sampler",
        "objective",
    }
    assert "scientific, nuisance, fixed" in found["hyperparameters.optimizer.role"]
    assert "halton" in found["search.sampler"]


@pytest.mark.parametrize(
    ("change", "where", "says"),
    [
        (("low: 1e-4", "low: 1"), "hyperparameters.learning_rate", 'must be less than "high"'),
        (("trials: 24", "trials: 0"), "search.trials", "from 1"),
        (("trials: 24", "trials: 1.5"), "search.trials", "whole number"),
        (("experiment: label-smoothing", "experiment: new"), "experiment", "address"),
        (("parallel: 2", "paralel: 2"), "search.paralel", "unknown key"),
        (("official: true", "oficial: true"), "metrics.validation_accuracy.oficial", "unknown"),
        (("direction: maximize", "direction: up"), "metrics.validation_accuracy.direction", "one"),
        (("choices: [0.0, 0.1]", "choices: [1]"), "hyperparameters.label_smoothing.choices", "2"),
        (("dropout: 0.2", "dropout: 0.9"), "first.1.dropout", "outside"),
        (
            ("high: 0.5, natural", "high: 0.5, step: 0.25, natural"),
            "first.1.dropout",
            "0.2 lies between its steps; the nearest is 0.0 or 0.25",
        ),
        (("dropout: 0.2, ", ""), "first.1", "says nothing about dropout"),
        (("https://git", "javascript:git"), "config_link", "http or https"),
        (("minutes: 60", "minutes: -1"), "stop.minutes", "more than 0"),
        (("pruner: none", "pruner: {name: median, wait: 2}"), "search.pruner.wait", "takes"),
        (("sampler: halton", "sampler: {name: tpe, n_startup_trials: 0}"),
         "search.sampler.n_startup_trials", "at least 1"),
        (("validation_accuracy: {official", "test_accuracy: {official"),
         "metrics.test_accuracy.split", "cannot be official"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_what_would_be_right(
    change: tuple[str, str], where: str, says: str
) -> None:
    assert change[0] in GOOD
    found = _problems(GOOD.replace(*change))
    assert says in found[where]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "starts with project"),
        ("a: [", "not YAML"),
        ("a: 1\na: 2", "twice"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("? [1, 2]\n: 3", "key must be"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("[" * 100, "deeper"),
        ("x" * 300_000, "characters"),
    ],
)
def test_yaml_tricks_are_refused_in_a_sentence(text: str, says: str) -> None:
    assert says in " ".join(_problems(text).values())


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=10,
)
KEYS = [
    "project",
    "experiment",
    "goal",
    "objective",
    "config_link",
    "notes",
    "tags",
    "metrics",
    "search",
    "early_stopping",
    "fidelity",
    "folds",
    "stop",
    "hyperparameters",
    "first",
    "margin",
    "smallest_gain",
    "queue",
]


@given(st.dictionaries(st.sampled_from(KEYS), plain))
def test_any_document_parses_or_gives_problems(document: object) -> None:
    with pytest.raises(InvalidExperiment) as raised:
        parse_document(document)
    assert raised.value.problems


@given(st.text(max_size=200))
def test_any_text_gives_problems_and_never_another_exception(text: str) -> None:
    with pytest.raises(InvalidExperiment):
        parse(text)
