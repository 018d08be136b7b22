from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from experiments.design import metrics
from experiments.design.document import experiment_file
from tests.workers.problems.trained import Trained, fingerprint
from tests.workers.problems.trained import trained as run_once
from workers.problems import diabetes
from workers.problems.diabetes import Hyperparameters, load

pytestmark = pytest.mark.thorough

CPU = torch.device("cpu")
EXAMPLE = Path(diabetes.__file__).parent / "examples" / "depth.yaml"


def trained(**params: Any) -> Trained:
    return run_once(diabetes.train, diabetes.METRICS, **params)


def test_a_linear_model_comes_to_least_squares() -> None:
    """scikit-learn's exact solution on the same split, to a tenth of the target's unit."""
    kept = trained(layers=0, learning_rate=1e-3, epochs=300)
    training, validation, _ = load(2, CPU)
    exact = LinearRegression().fit(training.measurements, training.progression)
    said = exact.predict(validation.measurements)
    error = float(np.sqrt(np.mean((said - validation.progression.numpy()) ** 2)))
    assert kept.series["validation_rmse"][-1] == pytest.approx(error, abs=0.5)
    assert kept.series["validation_r2"][-1] == pytest.approx(
        r2_score(validation.progression.numpy(), said), abs=0.01
    )


def test_a_good_configuration_predicts_much_better_than_the_mean() -> None:
    kept = trained(learning_rate=1e-5)
    assert kept.score.value is not None and 45 < kept.score.value < 53
    assert kept.score.evaluations == 100
    assert set(kept.series) == {name for name in diabetes.METRICS if not name.startswith("test")}
    assert 0.4 < kept.sealed["test_r2"] < 0.6


def test_a_learning_rate_that_is_usual_elsewhere_diverges_and_the_run_goes_on() -> None:
    kept = trained(learning_rate=0.1, epochs=5)
    assert not math.isfinite(kept.series["train_loss"][-1])
    assert not math.isfinite(kept.series["validation_rmse"][-1])
    assert len(kept.series["validation_rmse"]) == 5
    assert kept.score.value is None
    assert not math.isfinite(kept.sealed["test_rmse"])


def test_the_best_learning_rate_is_far_below_where_it_diverges() -> None:
    scores = {rate: trained(learning_rate=rate).score.value for rate in (1e-6, 3e-5, 3e-3)}
    best = scores[3e-5]
    assert best is not None
    assert all(value is None or value > best + 3 for rate, value in scores.items() if rate != 3e-5)


def test_training_begins_at_the_mean() -> None:
    first = trained(layers=0, learning_rate=0.0, epochs=1)
    assert abs(first.series["validation_r2"][0]) < 0.15


@pytest.mark.parametrize("optimizer", diabetes.OPTIMIZERS)
def test_every_optimizer_learns(optimizer: str) -> None:
    rate = 1e-5 if optimizer == "sgd" else 1e-2
    losses = trained(optimizer=optimizer, learning_rate=rate, epochs=10).series["train_loss"]
    assert losses[-1] < losses[0]


def test_test_scores_are_those_of_the_best_epoch() -> None:
    overfitted = trained(learning_rate=3e-4, epochs=60)
    best = overfitted.score.best_step
    assert best is not None and best < 40
    # Until its best epoch a shorter run is the same run.
    assert trained(learning_rate=3e-4, epochs=best).sealed == overfitted.sealed


@pytest.mark.parametrize("changed", [{"train_seed": 7}, {"split_seed": 7}])
def test_another_seed_gives_another_curve(changed: dict[str, int]) -> None:
    assert fingerprint(trained(epochs=2, **changed)) != fingerprint(trained(epochs=2))


def test_patients_are_split_whole_and_scaled_by_the_training_part() -> None:
    parts = load(5, CPU)
    assert [len(part.progression) for part in parts] == [266, 88, 88]
    everyone = torch.cat([part.progression for part in parts])
    assert float(everyone.sum()) == pytest.approx(diabetes._all_patients()[1].sum())
    assert float(parts[0].measurements.mean(0).abs().max()) < 1e-5
    assert float((parts[0].measurements.std(0, correction=0) - 1).abs().max()) < 1e-5


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"units": 3}, "unknown parameter 'units'"),
        ({"optimizer": "lion"}, "expected one of sgd, adam"),
        ({"optimizer": "adam", "momentum": 0.9}, "momentum does nothing with adam"),
        ({"momentum": 1.0}, "expected 0 <= momentum < 1"),
        ({"epochs": 0}, "expected 1 <= epochs"),
        ({"learning_rate": math.nan}, "expected 0 <= learning_rate"),
    ],
)
def test_a_wrong_parameter_is_named(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Hyperparameters.read(params)


def test_declared_metrics_are_what_an_experiment_file_takes() -> None:
    problems: list[Any] = []
    declared = metrics.parse(diabetes.METRICS, problems)
    assert problems == []
    assert declared["validation_rmse"].official
    assert declared["validation_rmse"].direction == "minimize"


def test_the_example_is_an_experiment_that_this_problem_can_run() -> None:
    file = experiment_file.parse(EXAMPLE.read_text())
    assert [arm.label for arm in file.arms()] == ["layers = 0", "layers = 1", "layers = 2"]
    for arm in file.arms():
        for corner in (0.0, 0.5, 1 - 1e-9):
            hp = Hyperparameters.read(arm.complete(arm.from_unit([corner] * len(arm.searched))))
            assert hp.layers == arm.values["layers"]
            assert ("hidden_units" in arm.distributions()) is (hp.layers > 0)
