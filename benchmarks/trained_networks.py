"""Many small networks trained at once: real learning curves whose truth can be looked up.

Networks of one call share data, shape, optimiser, schedule and length and differ in learning
rate, seed and regularisation; all are stacked into one batch of matrices, so that a hundred
trainings cost little more than one. A large test set, seen by no rule, says what is true.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Floats = NDArray[np.float64]
TEST = 1500


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Inputs [N, D] and targets [N] of three splits; classes: 0 for a regression."""

    name: str
    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    classes: int

    def smaller(self, examples: int, validation: int | None = None) -> Task:
        """Return the task with the first so many examples of training (and validation)."""
        kept = self.validation if validation is None else _first(self.validation, validation)
        return replace(self, train=_first(self.train, examples), validation=kept)

    def noisy(self, share: float, seed: int) -> Task:
        """Return the task with a share of its training targets shuffled."""
        inputs, targets = self.train
        generator = torch.Generator().manual_seed(seed)
        picked = torch.nonzero(torch.rand(len(targets), generator=generator) < share).flatten()
        targets = targets.clone()
        targets[picked] = targets[picked[torch.randperm(len(picked), generator=generator)]]
        return replace(self, train=(inputs, targets))


@dataclass(frozen=True, slots=True)
class Recipe:
    """What all networks of a call share."""

    optimizer: str = "adam"
    schedule: str = "constant"
    epochs: int = 20
    batch: int = 32
    hidden: int = 48
    layers: int = 1


@dataclass(frozen=True, slots=True)
class Setting:
    """What one network has of its own."""

    rate: float
    seed: int
    dropout: float = 0.0
    weight_decay: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """One training by epoch, each [E + 1], the first before any step (training loss: [E])."""

    train_loss: Floats
    validation_loss: Floats
    validation_score: Floats
    test_loss: Floats
    test_score: Floats


def train(task: Task, recipe: Recipe, settings: Sequence[Setting], seed: int = 0) -> list[Log]:
    """Train one network for each setting; scores are accuracies, or root mean squared errors."""
    weights = _weights(task, recipe, settings)
    rates = torch.tensor([one.rate for one in settings], dtype=torch.float32)
    decay = torch.tensor([one.weight_decay for one in settings], dtype=torch.float32)
    keep = 1 - torch.tensor([one.dropout for one in settings], dtype=torch.float32)
    noise = torch.Generator().manual_seed(seed)
    orders = [torch.Generator().manual_seed(one.seed + 7) for one in settings]
    inputs, targets = task.train
    batches = max(1, len(targets) // recipe.batch)
    total = recipe.epochs * batches
    states = [_State(torch.zeros_like(w), torch.zeros_like(w)) for w in weights]
    rows = [_evaluate(task, weights)]
    losses = []
    for epoch in range(recipe.epochs):
        order = torch.stack([torch.randperm(len(targets), generator=o) for o in orders])
        summed = torch.zeros(len(settings))
        for number in range(batches):
            at = order[:, number * recipe.batch : (number + 1) * recipe.batch]
            loss = _loss(
                _forward(weights, inputs[at], keep, noise), targets[at], task.classes
            ).mean(1)
            gradients = torch.autograd.grad(loss.sum(), weights)
            summed += loss.detach()
            step = epoch * batches + number
            scale = schedule_at(recipe.schedule, step / total)
            with torch.no_grad():
                for weight, gradient, state in zip(weights, gradients, states, strict=True):
                    _update(
                        weight, gradient, state, recipe.optimizer, scale * rates, decay, step + 1
                    )
        losses.append((summed / batches).numpy().astype(np.float64))
        rows.append(_evaluate(task, weights))
    table = np.stack(rows, axis=-1)  # [4, M, E + 1]
    fitted = np.stack(losses, axis=-1)
    return [Log(fitted[at], *table[:, at]) for at in range(len(settings))]


def schedule_at(name: str, progress: float) -> float:
    """Return the share of the learning rate at a share of the run."""
    match name:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "linear":
            return 1 - progress
        case "step":
            return float(0.1 ** sum(progress >= at for at in (0.5, 0.75)))
        case "warmup_cosine":
            warm = min(1.0, progress / 0.1)
            return warm * 0.5 * (1 + math.cos(math.pi * max(0.0, progress - 0.1) / 0.9))
        case _:
            return 1.0


@dataclass(slots=True)
class _State:
    first: Tensor
    second: Tensor


def _update(
    weight: Tensor,
    gradient: Tensor,
    state: _State,
    optimizer: str,
    rates: Tensor,
    decay: Tensor,
    step: int,
) -> None:
    rate, pull = rates.view(-1, 1, 1), decay.view(-1, 1, 1)
    if optimizer == "adamw":
        weight *= 1 - rate * pull
    else:
        gradient = gradient + pull * weight
    match optimizer:
        case "sgd":
            weight -= rate * gradient
        case "momentum":
            state.first.mul_(0.9).add_(gradient)
            weight -= rate * state.first
        case "nesterov":
            state.first.mul_(0.9).add_(gradient)
            weight -= rate * (gradient + 0.9 * state.first)
        case "rmsprop":
            state.second.mul_(0.99).addcmul_(gradient, gradient, value=0.01)
            weight -= rate * gradient / (state.second.sqrt() + 1e-8)
        case "adagrad":
            state.second.addcmul_(gradient, gradient)
            weight -= rate * gradient / (state.second.sqrt() + 1e-10)
        case _:
            state.first.mul_(0.9).add_(gradient, alpha=0.1)
            state.second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            first = state.first / (1 - 0.9**step)
            second = state.second / (1 - 0.999**step)
            weight -= rate * first / (second.sqrt() + 1e-8)


def _weights(task: Task, recipe: Recipe, settings: Sequence[Setting]) -> list[Tensor]:
    widths = [task.train[0].shape[1], *[recipe.hidden] * recipe.layers, max(task.classes, 1)]
    found: list[list[Tensor]] = []
    for one in settings:
        generator = torch.Generator().manual_seed(one.seed)
        row = []
        for before, after in itertools.pairwise(widths):
            bound = 1 / math.sqrt(before)
            row.append((2 * torch.rand(before + 1, after, generator=generator) - 1) * bound)
        found.append(row)
    # The last row of each matrix is its bias.
    return [torch.stack(rows).requires_grad_() for rows in zip(*found, strict=True)]


def _forward(
    weights: Sequence[Tensor], inputs: Tensor, keep: Tensor | None, noise: torch.Generator | None
) -> Tensor:
    x = inputs
    for number, weight in enumerate(weights):
        x = torch.baddbmm(weight[:, -1:], x, weight[:, :-1])
        if number < len(weights) - 1:
            x = torch.relu(x)
            if keep is not None and bool((keep < 1).any()):
                kept = keep.view(-1, 1, 1)
                x = x * (torch.rand(x.shape, generator=noise) < kept) / kept
    return x


def _loss(outputs: Tensor, targets: Tensor, classes: int) -> Tensor:
    """Return the loss of each example [M, B]."""
    if classes:
        flat = functional.cross_entropy(
            outputs.reshape(-1, classes), targets.reshape(-1), reduction="none"
        )
        return flat.view(targets.shape)
    return (outputs[..., 0] - targets) ** 2


def _evaluate(task: Task, weights: Sequence[Tensor]) -> Floats:
    """Return [4, M]: loss and score on validation and on test."""
    rows = []
    with torch.no_grad():
        for inputs, targets in (task.validation, task.test):
            count = len(weights[0])
            outputs = _forward(weights, inputs.expand(count, *inputs.shape), None, None)
            wanted = targets.expand(count, -1)
            loss = _loss(outputs, wanted, task.classes).mean(1)
            score = (outputs.argmax(-1) == wanted).float().mean(1) if task.classes else loss.sqrt()
            score = torch.where(torch.isfinite(loss), score, torch.nan)
            rows += [loss, score]
    return torch.stack(rows).numpy().astype(np.float64)


# Tasks


@lru_cache
def task(name: str, seed: int = 0) -> Task:
    """Return a task by name: a data set of scikit-learn, or a made one with a large test set."""
    from sklearn import datasets

    makers: dict[str, Callable[[], tuple[Floats, Floats, int]]] = {
        "digits": lambda: (*_loaded(datasets.load_digits), 10),
        "cancer": lambda: (*_loaded(datasets.load_breast_cancer), 2),
        "diabetes": lambda: (*_loaded(datasets.load_diabetes), 0),
        "wine": lambda: (*_loaded(datasets.load_wine), 3),
        "moons": lambda: (*datasets.make_moons(5000, noise=0.3, random_state=seed), 2),
        "clusters": lambda: (
            *datasets.make_classification(
                5000, 20, n_informative=8, n_classes=4, flip_y=0.05, random_state=seed
            ),
            4,
        ),
        "friedman": lambda: (*datasets.make_friedman1(5000, 10, noise=1.0, random_state=seed), 0),
        "sines": lambda: (*_sines(seed), 0),
        "gaussians": lambda: (
            *datasets.make_gaussian_quantiles(
                n_samples=5000, n_features=10, n_classes=3, random_state=seed
            ),
            3,
        ),
        "linear": lambda: (
            *datasets.make_classification(
                5000, 40, n_informative=5, flip_y=0.15, class_sep=0.7, random_state=seed
            ),
            2,
        ),
    }
    inputs, targets, classes = makers[name]()
    return _split(name, inputs, targets, classes, seed)


def _sines(seed: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    inputs = rng.uniform(-1, 1, (5000, 6))
    return inputs, np.sin(4 * inputs[:, 0]) + inputs[:, 1] * inputs[:, 2] + rng.normal(
        0, 0.3, 5000
    )


def _loaded(load: Callable[..., tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    inputs, targets = load(return_X_y=True)
    return inputs, targets


def _split(name: str, inputs: Floats, targets: Floats, classes: int, seed: int) -> Task:
    order = np.random.default_rng(seed).permutation(len(targets))
    fitted = min(600, len(targets) // 2)
    judged = min(300, len(targets) // 4)
    ends = np.split(order, [fitted, fitted + judged])
    middle, spread = inputs[ends[0]].mean(0), inputs[ends[0]].std(0) + 1e-6
    inputs = (inputs - middle) / spread
    if not classes:
        targets = (targets - targets[ends[0]].mean()) / targets[ends[0]].std()
    kind = torch.long if classes else torch.float32
    splits = [
        (torch.tensor(inputs[at], dtype=torch.float32), torch.tensor(targets[at], dtype=kind))
        for at in ends
    ]
    return Task(name, splits[0], splits[1], _first(splits[2], TEST), classes)


def _first(split: tuple[Tensor, Tensor], count: int) -> tuple[Tensor, Tensor]:
    return split[0][:count], split[1][:count]
