"""A small real regression: how far a disease has come after a year, from ten measurements.

Data: the 442 patients that scikit-learn ships (Efron, Hastie, Johnstone and Tibshirani, "Least
Angle Regression", Annals of Statistics 32, 2004), split by `split_seed` into 266 to train, 88 to
validate and 88 to test. Inputs are scaled by the training part; the target keeps its own unit, in
which its standard deviation is 77, so that plain gradient descent wants a small learning rate and
diverges to infinity with one that is usual elsewhere. A trial takes about a second on one core.

The same parameters and seeds give the same curve to the last bit on the same kind of processor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes
from torch import Tensor, nn
from torch.nn import functional

from workers.problems import parameters
from workers.problems.training import BestWeights, drop, exact_device, three_parts
from workers.training.run import Run

HELD_OUT = 88  # patients to validate with, and as many to test with
MEASUREMENTS = 10
OPTIMIZERS = ("sgd", "adam")

# What an experiment file declares about the metrics logged here.
METRICS: dict[str, dict[str, Any]] = {
    "train_loss": {"split": "train", "kind": "loss", "direction": "minimize"},
    "validation_loss": {"split": "validation", "kind": "loss", "direction": "minimize"},
    "validation_rmse": {
        "official": True,
        "split": "validation",
        "kind": "metric",
        "direction": "minimize",
    },
    "validation_r2": {"split": "validation", "kind": "metric", "direction": "maximize"},
    "gradient_norm": {"kind": "gradient_norm"},
    "test_rmse": {"split": "test", "kind": "metric", "direction": "minimize"},
    "test_r2": {"split": "test", "kind": "metric", "direction": "maximize"},
}


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """All that can be tuned, with what holds when it is not named; no layers is a linear model."""

    layers: int = 1
    hidden_units: int = 32
    dropout: float = 0.0
    weight_decay: float = 0.0
    optimizer: str = "sgd"
    learning_rate: float = 1e-4
    momentum: float = 0.9
    batch_size: int = 32
    epochs: int = 100

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> Hyperparameters:
        """Raises ValueError that names an unknown, unused or impossible parameter."""
        values = parameters.read(cls, params)
        parameters.check_choice("optimizer", values.optimizer, OPTIMIZERS)
        if "momentum" in params and values.optimizer != "sgd":
            raise ValueError(f"momentum does nothing with {values.optimizer}")
        for name, low in {"layers": 0, "hidden_units": 1, "batch_size": 1, "epochs": 1}.items():
            parameters.check_number(name, getattr(values, name), low)
        for name in ("dropout", "momentum"):
            parameters.check_number(name, getattr(values, name), 0, 1)
        for name in ("learning_rate", "weight_decay"):
            parameters.check_number(name, getattr(values, name), 0)
        return values


@dataclass(frozen=True, slots=True)
class Patients:
    """`measurements` [N, 10] and `progression` [N], float32."""

    measurements: Tensor
    progression: Tensor


class Network(nn.Module):
    """Equal hidden layers of ReLU; it begins by saying the mean of the training part."""

    def __init__(
        self, hp: Hyperparameters, mean: float, rng: torch.Generator, device: torch.device
    ) -> None:
        super().__init__()
        widths = [MEASUREMENTS] + [hp.hidden_units] * hp.layers + [1]
        # He et al. (2015).
        self.weights = nn.ParameterList(
            nn.init.kaiming_uniform_(
                torch.empty(after, before, device=device), nonlinearity="relu", generator=rng
            )
            for before, after in pairwise(widths)
        )
        self.biases = nn.ParameterList(torch.zeros(after, device=device) for after in widths[1:])
        with torch.no_grad():
            self.biases[-1].fill_(mean)
        self._dropout = hp.dropout
        self._rng = rng

    def forward(self, measurements: Tensor) -> Tensor:
        """`measurements` [N, 10] -> progression [N]."""
        *layers, last = zip(self.weights, self.biases, strict=True)
        hidden = measurements
        for weight, bias in layers:
            hidden = functional.relu(functional.linear(hidden, weight, bias))
            if self.training and self._dropout:
                hidden = drop(hidden, self._dropout, self._rng)
        return functional.linear(hidden, *last).squeeze(1)


def train(run: Run) -> None:
    """Train on the squared error and evaluate after every epoch; steps are epochs, from 1.

    Losses are mean squared errors in evaluation mode over whole sets. A run that diverges goes on
    and logs what it has: infinity, then NaN. The test scores, logged once, are those of the
    epoch with the best validation RMSE.
    """
    hp = Hyperparameters.read(run.params)
    device = exact_device()
    training, validation, test = load(run.split_seed, device)
    rng = torch.Generator(device).manual_seed(run.train_seed)
    order = torch.Generator().manual_seed(run.train_seed)
    network = Network(hp, float(training.progression.mean()), rng, device)
    optimizer = make_optimizer(hp, network)
    best = BestWeights(network, maximize=False)
    epoch = 0
    for epoch in run.until_stopped(range(1, hp.epochs + 1)):
        permutation = torch.randperm(len(training.progression), generator=order).to(device)
        norm = train_epoch(hp, network, optimizer, training, permutation)
        loss, r2 = evaluate(network, validation)
        best.see(math.sqrt(loss))
        metrics = {
            "train_loss": evaluate(network, training)[0],
            "validation_loss": loss,
            "validation_rmse": math.sqrt(loss),
            "validation_r2": r2,
            "gradient_norm": norm,
        }
        run.log(metrics, step=epoch)
    best.restore()
    loss, r2 = evaluate(network, test)
    run.log({"test_rmse": math.sqrt(loss), "test_r2": r2}, step=epoch)


def train_epoch(
    hp: Hyperparameters,
    network: Network,
    optimizer: torch.optim.Optimizer,
    patients: Patients,
    permutation: Tensor,
) -> float:
    """One pass in the order of `permutation`; returns the mean L2 norm of the gradients."""
    network.train()
    norms = []
    weights = list(network.parameters())
    for start in range(0, len(permutation), hp.batch_size):
        some = permutation[start : start + hp.batch_size]
        optimizer.zero_grad()
        predicted = network(patients.measurements[some])
        torch.autograd.backward(functional.mse_loss(predicted, patients.progression[some]))
        norms.append(nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None]))
        optimizer.step()
    return float(torch.stack(norms).mean())


@torch.inference_mode()
def evaluate(network: Network, patients: Patients) -> tuple[float, float]:
    """Mean squared error and R2 (1 - error / variance); not finite when the outputs are not."""
    network.eval()
    loss = functional.mse_loss(network(patients.measurements), patients.progression)
    return float(loss), float(1 - loss / patients.progression.var(correction=0))


def make_optimizer(hp: Hyperparameters, network: Network) -> torch.optim.Optimizer:
    weights = list(network.parameters())
    if hp.optimizer == "adam":
        return torch.optim.Adam(weights, hp.learning_rate, weight_decay=hp.weight_decay)
    return torch.optim.SGD(
        weights, hp.learning_rate, momentum=hp.momentum, weight_decay=hp.weight_decay
    )


def load(split_seed: int, device: torch.device) -> tuple[Patients, Patients, Patients]:
    """The patients to train, validate and test with, split by `split_seed`."""
    measurements, progression = _all_patients()
    parts = three_parts(len(progression), HELD_OUT, split_seed)
    mean, spread = measurements[parts[0]].mean(0), measurements[parts[0]].std(0)

    def patients(rows: NDArray[np.int64]) -> Patients:
        scaled = (measurements[rows] - mean) / spread
        return Patients(
            torch.tensor(scaled, dtype=torch.float32, device=device),
            torch.tensor(progression[rows], dtype=torch.float32, device=device),
        )

    training, validation, test = (patients(rows) for rows in parts)
    return training, validation, test


@cache
def _all_patients() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    measurements, progression = load_diabetes(return_X_y=True, scaled=False)
    return measurements, progression
