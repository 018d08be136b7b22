from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from experiments.analysis.curves.early_stopping import EarlyStopping, Patience
from experiments.design import metrics
from experiments.design.document import experiment_file
from tests.workers.problems.trained_digits import fingerprint, trained
from workers.problems import digits
from workers.problems.digits import Hyperparameters, learning_rates, load

pytestmark = pytest.mark.thorough

CPU = torch.device("cpu")
EXAMPLE = Path(digits.__file__).parent / "examples" / "label-smoothing.yaml"


def test_a_good_configuration_reads_most_digits() -> None:
    kept = trained(hidden_units=128, dropout=0.2)
    assert kept.score.value is not None
    assert 0.96 <= kept.score.value <= 0.99
    assert kept.steps == list(range(1, 61))
    assert set(kept.series_by_name) == set(digits.METRICS) - {"test_accuracy"}
    assert [sealed.name for sealed in kept.sealed] == ["test_accuracy"]
    assert 0.95 <= kept.sealed[0].value <= 0.99


@pytest.mark.parametrize("optimizer", list(digits.OPTIMIZERS))
@pytest.mark.parametrize("activation", list(digits.ACTIVATIONS))
def test_every_optimizer_learns_with_every_activation(optimizer: str, activation: str) -> None:
    rate = 0.1 if optimizer == "sgd" else 1e-3
    kept = trained(optimizer=optimizer, activation=activation, learning_rate=rate, epochs=8)
    assert kept["train_loss"][-1] < kept["train_loss"][0]
    assert kept["validation_accuracy"][-1] > 0.75


def test_the_same_seeds_give_the_same_curves_in_two_fresh_processes() -> None:
    code = (
        "from tests.workers.problems.trained_digits import fingerprint\n"
        "print(fingerprint(epochs=6, dropout=0.3, layers=2, label_smoothing=0.1))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = [process.communicate()[0] for process in processes]
    assert told[0] == told[1]
    assert len(told[0].strip()) == 64


def test_nothing_that_ran_before_changes_a_curve() -> None:
    first = fingerprint(epochs=2, dropout=0.3)
    torch.rand(1000)
    trained(epochs=1, train_seed=99)
    assert fingerprint(epochs=2, dropout=0.3) == first


@pytest.mark.parametrize("changed", [{"train_seed": 7}, {"split_seed": 7}])
def test_another_seed_gives_another_curve(changed: dict[str, int]) -> None:
    assert fingerprint(epochs=2, **changed) != fingerprint(epochs=2)


def test_losses_are_measured_without_label_smoothing() -> None:
    """Fitted to the last image, an unsmoothed loss of smoothed training stays near 0.1."""
    smoothed = trained(label_smoothing=0.1, epochs=40)
    floor = -(0.91 * math.log(0.91) + 0.09 * math.log(0.01))  # the smoothed loss at its best
    assert smoothed["train_loss"][-1] < floor


def test_a_run_that_stopped_early_has_the_test_score_of_its_last_weights() -> None:
    rule = EarlyStopping("validation_accuracy", True, Patience(1, 0.5))
    early = trained(early_stopping=rule, epochs=9, hidden_units=8)
    short = trained(epochs=2, hidden_units=8)
    assert early.steps == [1, 2] and early["train_loss"] == short["train_loss"]
    assert early.sealed == short.sealed and early.sealed[0].step == 2


def test_a_run_that_diverges_logs_nan_and_goes_on() -> None:
    kept = trained(optimizer="sgd", learning_rate=1e20, epochs=3)
    assert math.isnan(kept["train_loss"][-1])
    assert math.isnan(kept["validation_accuracy"][-1])
    assert kept.steps == [1, 2, 3]
    assert kept.score.value is None


def test_the_gradient_norm_is_that_before_clipping() -> None:
    kept = trained(gradient_clipping=1e-3, optimizer="sgd", epochs=1)
    assert kept["gradient_norm"][0] > 0.1


def test_clipping_limits_how_far_a_step_goes() -> None:
    free = trained(optimizer="sgd", learning_rate=0.1, epochs=1)
    clipped = trained(optimizer="sgd", learning_rate=0.1, epochs=1, gradient_clipping=1e-3)
    assert clipped["train_loss"][0] > free["train_loss"][0]


def test_training_without_hidden_layers_is_a_linear_model() -> None:
    assert trained(layers=0, epochs=20, learning_rate=0.01).score.value > 0.9  # type: ignore[operator]


@given(st.integers(0, 2**63 - 1))
def test_splits_are_disjoint_whole_and_evenly_mixed(split_seed: int) -> None:
    data = load(split_seed, CPU)
    parts = (data.train, data.validation, data.test)
    assert [len(part.digits) for part in parts] == [1077, 360, 360]
    counts = torch.stack([part.digits.bincount(minlength=10) / len(part.digits) for part in parts])
    assert float((counts[0] - counts).abs().max()) < 0.01
    everything = torch.cat([part.pixels for part in parts])
    assert float(everything.sum()) == pytest.approx(digits._all_images()[0].sum(), rel=1e-5)
    images = {row.numpy().tobytes() for row in everything}
    assert len(images) == len({row.tobytes() for row in digits._all_images()[0].astype("float32")})


RATE = st.builds(
    Hyperparameters,
    learning_rate=st.floats(1e-6, 1.0),
    schedule=st.sampled_from(digits.SCHEDULES),
    warmup_fraction=st.floats(0.0, 1.0),
    epochs=st.integers(1, 30),
)


@given(RATE, st.integers(1, 20))
def test_learning_rates_never_exceed_the_base_rate(hp: Hyperparameters, steps: int) -> None:
    rates = list(learning_rates(hp, steps))
    assert len(rates) == hp.epochs * steps
    assert all(0 < rate <= hp.learning_rate * (1 + 1e-12) for rate in rates)
    warmup = round(hp.warmup_fraction * len(rates))
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)


def test_the_half_of_a_cosine_is_half_the_rate() -> None:
    rates = list(learning_rates(Hyperparameters(schedule="cosine", epochs=10), 1))
    assert rates[5] == pytest.approx(0.5e-3)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"hidden": 3}, "unknown parameter 'hidden'; known are layers, hidden_units"),
        ({"optimizer": "lion"}, "'lion', expected one of sgd, adam"),
        ({"momentum": 0.9}, "momentum does nothing with adam"),
        ({"optimizer": "sgd", "beta1": 0.9}, "beta1 does nothing with sgd"),
        ({"dropout": 1.0}, "expected 0 <= dropout < 1"),
        ({"epochs": 0}, "expected 1 <= epochs"),
        ({"hidden_units": 2.5}, "expected a whole number"),
        ({"learning_rate": "fast"}, "expected a number"),
        ({"learning_rate": math.nan}, "expected 0 <= learning_rate"),
        ({"schedule": 3}, "expected a name"),
        ({"warmup_fraction": 2}, "expected 0 to 1"),
    ],
)
def test_a_wrong_parameter_is_named(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Hyperparameters.read(params)


def test_whole_floats_are_whole_numbers() -> None:
    assert Hyperparameters.read({"hidden_units": 64.0}).hidden_units == 64


def test_the_number_of_weights_follows_the_layers() -> None:
    network = digits.Network(Hyperparameters(layers=2, hidden_units=8), torch.Generator(), CPU)
    count = sum(weight.numel() for weight in nn.Module.parameters(network))
    assert count == (64 * 8 + 8) + (8 * 8 + 8) + (8 * 10 + 10)


def test_declared_metrics_are_what_an_experiment_file_takes() -> None:
    problems: list[Any] = []
    declared = metrics.parse(digits.METRICS, problems)
    assert problems == []
    assert [name for name, metric in declared.items() if metric.official] == [
        "validation_accuracy"
    ]


def test_the_example_is_an_experiment_that_this_problem_can_run() -> None:
    file = experiment_file.parse(EXAMPLE.read_text())
    assert (file.name, file.trials, file.parallel, len(file.arms())) == (
        "label-smoothing",
        24,
        2,
        2,
    )
    for arm in file.arms():
        for corner in (0.0, 0.5, 1 - 1e-9):
            hp = Hyperparameters.read(arm.complete(arm.from_unit([corner] * len(arm.searched))))
            assert hp.epochs == 100
            assert hp.label_smoothing == arm.values["label_smoothing"]
