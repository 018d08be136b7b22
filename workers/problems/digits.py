"""A small real problem: handwritten digits, read by a fully connected network.

Data: the 1,797 images of 8 x 8 pixels that scikit-learn ships (Alpaydin and Kaynak, "Optical
Recognition of Handwritten Digits", UCI, 1998), split by `split_seed` into 1,077 to train, 360 to
validate and 360 to test, the same share of every digit in each. A trial takes seconds on one core.

The same parameters and seeds give the same curve to the last bit on the same kind of processor.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice, pairwise
from typing import Any

import numpy as np

# Read when CUDA starts: without it its matrix products are refused as not deterministic.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

from workers.problems import parameters
from workers.training.run import Run

HELD_OUT = 360  # images to validate with, and as many to test with
PIXELS = 64
DIGITS = 10

# What an experiment file declares about the metrics logged here.
METRICS: dict[str, dict[str, Any]] = {
    "train_loss": {"split": "train", "kind": "loss", "direction": "minimize"},
    "train_accuracy": {"split": "train", "kind": "metric", "direction": "maximize"},
    "validation_loss": {"split": "validation", "kind": "loss", "direction": "minimize"},
    "validation_accuracy": {
        "official": True,
        "split": "validation",
        "kind": "metric",
        "direction": "maximize",
        "resolution": 1 / HELD_OUT,
    },
    "learning_rate": {"kind": "learning_rate"},
    "gradient_norm": {"kind": "gradient_norm"},
    "test_accuracy": {"split": "test", "kind": "metric", "direction": "maximize"},
}

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}
# Which optimizer has which hyperparameters of its own.
OPTIMIZERS: dict[str, tuple[str, ...]] = {
    "sgd": ("momentum",),
    "adam": ("beta1", "beta2", "epsilon"),
    "adamw": ("beta1", "beta2", "epsilon"),
    "rmsprop": ("momentum", "beta2", "epsilon"),
}
SCHEDULES = ("constant", "linear", "cosine")


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """All that can be tuned, with what holds when it is not named.

    `warmup_fraction` is the share of all steps in which the learning rate rises from 0;
    `gradient_clipping` the largest norm of a gradient, 0 for no limit; `beta2` is also the
    smoothing constant of rmsprop.
    """

    layers: int = 1
    hidden_units: int = 128
    activation: str = "relu"
    dropout: float = 0.0
    label_smoothing: float = 0.0
    batch_size: int = 64
    epochs: int = 60
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup_fraction: float = 0.0
    weight_decay: float = 0.0
    gradient_clipping: float = 0.0
    momentum: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> Hyperparameters:
        """Raises ValueError that names an unknown, unused or impossible parameter."""
        values = parameters.read(cls, params)
        values._check()
        own = OPTIMIZERS[values.optimizer]
        for name in ("momentum", "beta1", "beta2", "epsilon"):
            if name in params and name not in own:
                raise ValueError(
                    f"{name} does nothing with {values.optimizer}, whose own are {', '.join(own)}"
                )
        return values

    def _check(self) -> None:
        choices = {
            "activation": tuple(ACTIVATIONS),
            "optimizer": tuple(OPTIMIZERS),
            "schedule": SCHEDULES,
        }
        for name, allowed in choices.items():
            parameters.check_choice(name, getattr(self, name), allowed)
        for name, low in {"layers": 0, "hidden_units": 1, "batch_size": 1, "epochs": 1}.items():
            parameters.check_number(name, getattr(self, name), low)
        for name in ("dropout", "label_smoothing", "momentum", "beta1", "beta2"):
            parameters.check_number(name, getattr(self, name), 0, 1)
        if not 0 <= self.warmup_fraction <= 1:
            raise ValueError(f"warmup_fraction: found {self.warmup_fraction}, expected 0 to 1")
        for name in ("learning_rate", "weight_decay", "gradient_clipping", "epsilon"):
            parameters.check_number(name, getattr(self, name), 0)


@dataclass(frozen=True, slots=True)
class Images:
    """`pixels` [N, 64] float32 from 0 to 1, `digits` [N] int64."""

    pixels: Tensor
    digits: Tensor


@dataclass(frozen=True, slots=True)
class Data:
    train: Images
    validation: Images
    test: Images


class Network(nn.Module):
    """A stack of equal hidden layers; all that is random in it comes from `rng`."""

    def __init__(self, hp: Hyperparameters, rng: torch.Generator, device: torch.device) -> None:
        super().__init__()
        widths = [PIXELS] + [hp.hidden_units] * hp.layers + [DIGITS]
        # He et al. (2015); for tanh Glorot and Bengio (2010).
        fill = nn.init.xavier_uniform_
        if hp.activation != "tanh":
            fill = partial(nn.init.kaiming_uniform_, nonlinearity="relu")
        self.weights = nn.ParameterList(
            fill(torch.empty(after, before, device=device), generator=rng)
            for before, after in pairwise(widths)
        )
        self.biases = nn.ParameterList(torch.zeros(after, device=device) for after in widths[1:])
        self._activation = ACTIVATIONS[hp.activation]
        self._dropout = hp.dropout
        self._rng = rng

    def forward(self, pixels: Tensor) -> Tensor:
        """`pixels` [N, 64] -> logits [N, 10]."""
        *layers, last = zip(self.weights, self.biases, strict=True)
        hidden = pixels
        for weight, bias in layers:
            hidden = self._activation(functional.linear(hidden, weight, bias))
            if self.training and self._dropout:
                # Not nn.Dropout, which draws from the generator that everyone shares.
                draws = torch.rand(hidden.shape, generator=self._rng, device=hidden.device)
                hidden = hidden * (draws >= self._dropout) / (1 - self._dropout)
        return functional.linear(hidden, *last)


def train(run: Run) -> None:
    """Train and evaluate after every epoch; the step of what is logged is the epoch, from 1.

    Losses are cross-entropies without label smoothing, in evaluation mode, over whole sets, so
    that curves with and without smoothing or dropout can be compared. `gradient_norm` is the
    mean over the epoch of the whole gradient's L2 norm before clipping, `learning_rate` that of
    the epoch's last step. A network whose outputs are not finite has no accuracy (NaN).
    The test accuracy, logged once, is that of the final weights, also of a run that ended early.
    """
    hp = Hyperparameters.read(run.params)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = load(run.split_seed, device)
    rng = torch.Generator(device).manual_seed(run.train_seed)
    order = torch.Generator().manual_seed(run.train_seed)
    network = Network(hp, rng, device)
    optimizer = make_optimizer(hp, network)
    steps_of_an_epoch = math.ceil(len(data.train.digits) / hp.batch_size)
    done = 0  # epochs
    checkpoint = run.load_checkpoint(generators=[rng, order])
    if checkpoint is not None:
        done = checkpoint["epoch"]
        network.load_state_dict(checkpoint["network"])
        optimizer.load_state_dict(checkpoint["optimizer"])
    rates = islice(learning_rates(hp, steps_of_an_epoch), done * steps_of_an_epoch, None)
    epoch = done
    for epoch in run.until_stopped(range(done + 1, hp.epochs + 1)):
        permutation = torch.randperm(len(data.train.digits), generator=order).to(device)
        norm = train_epoch(hp, network, optimizer, rates, data.train, permutation)
        train_loss, train_accuracy = evaluate(network, data.train)
        validation_loss, validation_accuracy = evaluate(network, data.validation)
        metrics = {
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            "validation_loss": validation_loss,
            "validation_accuracy": validation_accuracy,
            "learning_rate": optimizer.param_groups[0]["lr"],
            "gradient_norm": norm,
        }
        run.log(metrics, step=epoch)
        if run.checkpoint_due:
            state = {
                "epoch": epoch,
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            run.save_checkpoint(state, step=epoch, generators=[rng, order])
    _, test_accuracy = evaluate(network, data.test)
    run.log({"test_accuracy": test_accuracy}, step=epoch)


def train_epoch(
    hp: Hyperparameters,
    network: Network,
    optimizer: torch.optim.Optimizer,
    rates: Iterator[float],
    images: Images,
    permutation: Tensor,
) -> float:
    """One pass over the images in the order of `permutation`; returns the mean gradient norm."""
    network.train()
    pixels, digits = images.pixels[permutation], images.digits[permutation]
    norms = []
    parameters = list(network.parameters())
    for start in range(0, len(digits), hp.batch_size):
        some = slice(start, start + hp.batch_size)
        optimizer.param_groups[0]["lr"] = next(rates)
        optimizer.zero_grad()
        loss = functional.cross_entropy(
            network(pixels[some]), digits[some], label_smoothing=hp.label_smoothing
        )
        torch.autograd.backward(loss)
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        norms.append(norm)
        if hp.gradient_clipping:
            nn.utils.clip_grads_with_norm_(parameters, hp.gradient_clipping, norm)
        optimizer.step()
    return float(torch.stack(norms).mean())


@torch.inference_mode()
def evaluate(network: Network, images: Images) -> tuple[float, float]:
    """Mean cross-entropy and accuracy; both NaN or infinite when the outputs are not finite."""
    network.eval()
    logits = network(images.pixels)
    loss = float(functional.cross_entropy(logits, images.digits))
    if not bool(logits.isfinite().all()):
        return loss, math.nan
    return loss, int((logits.argmax(1) == images.digits).sum()) / len(images.digits)


def make_optimizer(hp: Hyperparameters, network: Network) -> torch.optim.Optimizer:
    weights = list(network.parameters())
    rate, decay, betas = hp.learning_rate, hp.weight_decay, (hp.beta1, hp.beta2)
    match hp.optimizer:
        case "sgd":
            return torch.optim.SGD(
                weights, rate, momentum=hp.momentum, weight_decay=decay, fused=True
            )
        case "adam":
            return torch.optim.Adam(
                weights, rate, betas, hp.epsilon, weight_decay=decay, fused=True
            )
        case "adamw":
            return torch.optim.AdamW(
                weights, rate, betas, hp.epsilon, weight_decay=decay, fused=True
            )
        case _:
            return torch.optim.RMSprop(weights, rate, hp.beta2, hp.epsilon, decay, hp.momentum)


def learning_rates(hp: Hyperparameters, steps_of_an_epoch: int) -> Iterator[float]:
    """The learning rate of each step: linear warm-up, then the schedule down to 0 or none."""
    steps = hp.epochs * steps_of_an_epoch
    warmup = round(hp.warmup_fraction * steps)
    for step in range(steps):
        if step < warmup:
            yield hp.learning_rate * (step + 1) / warmup
            continue
        done = (step - warmup) / max(1, steps - warmup)
        match hp.schedule:
            case "linear":
                yield hp.learning_rate * (1 - done)
            case "cosine":
                yield hp.learning_rate * (1 + math.cos(math.pi * done)) / 2
            case _:
                yield hp.learning_rate


def load(split_seed: int, device: torch.device) -> Data:
    """The images, split by `split_seed` with equal shares of every digit."""
    pixels, digits = _all_images()
    rng = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(split_seed)))
    rest, test = train_test_split(
        np.arange(len(digits)), test_size=HELD_OUT, stratify=digits, random_state=rng
    )
    train, validation = train_test_split(
        rest, test_size=HELD_OUT, stratify=digits[rest], random_state=rng
    )

    def images(where: np.ndarray[Any, Any]) -> Images:
        return Images(
            torch.tensor(pixels[where], dtype=torch.float32, device=device),
            torch.tensor(digits[where], dtype=torch.int64, device=device),
        )

    return Data(images(train), images(validation), images(test))


@cache
def _all_images() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    pixels, digits = load_digits(return_X_y=True)
    return pixels / 16, digits
