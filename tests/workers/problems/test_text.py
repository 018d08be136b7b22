from __future__ import annotations

import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.analysis.curves.early_stopping import EarlyStopping, Patience
from experiments.design import metrics
from experiments.design.document import experiment_file
from tests.workers.problems.trained import Trained, fingerprint
from tests.workers.problems.trained import trained as run_once
from workers.problems import docstrings, text
from workers.problems.text import Hyperparameters, Network, learning_rates, load

pytestmark = pytest.mark.thorough

CPU = torch.device("cpu")
EXAMPLE = Path(text.__file__).parent / "examples" / "bert-adam.yaml"
SMALL = {"hidden_units": 32, "batch_size": 64, "dropout": 0.2}


def trained(**params: Any) -> Trained:
    return run_once(text.train, text.METRICS, **params)


def test_three_epochs_of_berts_adam_tell_most_packages_apart() -> None:
    kept = trained(optimizer="bert_adam", epochs=3, learning_rate=3e-3)
    largest = max(Counter(docstring.package for docstring in docstrings.corpus()).values())
    chance = largest / len(docstrings.corpus())
    assert kept.score.value is not None and kept.score.value > 0.65 > 3 * chance
    assert kept.sealed["test_accuracy"] > 0.65
    assert set(kept.series) == set(text.METRICS) - {"test_accuracy"}
    assert [len(values) for values in kept.series.values()] == [3] * 5


def test_a_run_that_ends_early_has_the_test_score_of_its_best_epoch() -> None:
    rule = EarlyStopping("validation_loss", False, Patience(1))
    # So high a rate gets worse within a few epochs.
    kept = trained(**SMALL, learning_rate=0.3, epochs=30, early_stopping=rule)
    assert len(kept.series["validation_loss"]) < 30
    best = kept.score.best_step
    assert best is not None
    assert trained(**SMALL, learning_rate=0.3, epochs=best).sealed == kept.sealed


@pytest.mark.parametrize("changed", [{"train_seed": 7}, {"split_seed": 7}])
def test_another_seed_gives_another_curve(changed: dict[str, int]) -> None:
    kept = [trained(epochs=1, **SMALL, **more) for more in ({}, changed)]
    assert fingerprint(kept[0]) != fingerprint(kept[1])


def test_a_run_that_diverges_logs_nan_and_goes_on() -> None:
    kept = trained(**SMALL, learning_rate=1e30, epochs=2)
    assert math.isnan(kept.series["validation_accuracy"][-1])
    assert len(kept.series["validation_loss"]) == 2


def test_texts_are_split_whole_and_the_vocabulary_is_that_of_the_training_part() -> None:
    data = load(5, CPU)
    sizes = [len(part.packages) for part in (data.train, data.validation, data.test)]
    assert sum(sizes) == len(docstrings.corpus())
    assert sizes[1] == sizes[2] == round(0.2 * sum(sizes))
    shares = [part.packages.bincount() / len(part.packages) for part in (data.train, data.test)]
    assert float((shares[0] - shares[1]).abs().max()) < 0.01
    counts = data.train.words.flatten().bincount(minlength=data.vocabulary)
    assert int(counts[text.UNKNOWN + 1 :].min()) > 1, "each word stands in training twice"


def test_padding_changes_nothing() -> None:
    network = Network(Hyperparameters(), 50, torch.Generator().manual_seed(1), CPU).eval()
    words = torch.tensor([[5, 6, 7]])
    padded = torch.tensor([[5, 6, 7, text.PADDING, text.PADDING]])
    assert torch.allclose(network(words), network(padded), atol=1e-6)


def test_the_order_of_words_matters() -> None:
    network = Network(Hyperparameters(), 50, torch.Generator().manual_seed(1), CPU).eval()
    there, back = (network(torch.tensor([words])) for words in ([5, 6, 7], [7, 6, 5]))
    assert not torch.allclose(there, back, atol=1e-6)


def test_berts_rate_warms_up_and_falls_to_nearly_nothing() -> None:
    rates = list(learning_rates(Hyperparameters(optimizer="bert_adam", learning_rate=1.0), 100))
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(1 / 90)
    assert set(learning_rates(Hyperparameters(learning_rate=0.5), 20)) == {0.5}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"momentum": 0.9}, "unknown parameter 'momentum'"),
        ({"optimizer": "sgd"}, "expected one of adam, bert_adam"),
        ({"layers": 0}, "expected 1 <= layers"),
        ({"dropout": 1}, "expected 0 <= dropout < 1"),
    ],
)
def test_a_wrong_parameter_is_named(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Hyperparameters.read(params)


def test_an_experiment_that_names_the_docstrings_of_this_python_is_taken() -> None:
    text.check_corpus({})
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    data = {"name": "docstrings", "version": version, "checksum": docstrings.checksum()}
    text.check_corpus(data)


@pytest.mark.parametrize("key", ["name", "version", "checksum"])
def test_an_experiment_that_names_other_data_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f"data.{key}: the experiment names 2.7, there is"):
        text.check_corpus({key: "2.7"})


def test_declared_metrics_are_what_an_experiment_file_takes() -> None:
    problems: list[Any] = []
    declared = metrics.parse(text.METRICS, problems)
    assert problems == []
    assert declared["validation_accuracy"].official


def test_the_example_is_an_experiment_that_this_problem_can_run() -> None:
    file = experiment_file.parse(EXAMPLE.read_text())
    assert file.early_stopping is not None
    for arm in file.arms():
        for corner in (0.0, 0.5, 1 - 1e-9):
            hp = Hyperparameters.read(arm.complete(arm.from_unit([corner] * len(arm.searched))))
            assert hp.epochs == {"adam": 30, "bert_adam": 3}[hp.optimizer]
