"""A small real text problem: from which package of the standard library is this docstring?

A small transformer reads the first 40 words of each docstring (`docstrings.py`), some 1,900 in
8 packages. `split_seed` splits them into training, a fifth to validate and a fifth to test, with
the same share of every package; the vocabulary is that of the training part. A trial takes
seconds to a minute on one core.

The same parameters and seeds give the same curve to the last bit on the same kind of processor
and the same version of Python. An experiment whose `data:` names other texts is refused.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.problems import docstrings, parameters
from workers.problems.docstrings import MOST_WORDS, PACKAGES, corpus
from workers.problems.training import BestWeights, drop, exact_device, three_parts
from workers.training.run import Run

HELD_OUT_SHARE = 0.2  # of all texts to validate with, and as many to test with
WIDTH = 64  # of a word's vector
HEADS = 4
PADDING, UNKNOWN = 0, 1
OPTIMIZERS = ("adam", "bert_adam")
# Devlin et al., "BERT" (2019), appendix A.3: what their Adam has beside its learning rate.
BERT_WARMUP = 0.1
BERT_DECAY = 0.01
BERT_CLIPPING = 1.0

# What an experiment file declares about the metrics logged here.
METRICS: dict[str, dict[str, Any]] = {
    "train_loss": {"split": "train", "kind": "loss", "direction": "minimize"},
    "validation_loss": {"split": "validation", "kind": "loss", "direction": "minimize"},
    "validation_accuracy": {
        "official": True,
        "split": "validation",
        "kind": "metric",
        "direction": "maximize",
        "resolution": 0.0027,
    },
    "learning_rate": {"kind": "learning_rate"},
    "gradient_norm": {"kind": "gradient_norm"},
    "test_accuracy": {"split": "test", "kind": "metric", "direction": "maximize"},
}


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """All that can be tuned, with what holds when it is not named.

    `hidden_units` is the width of each layer's feed-forward part. `adam` keeps its learning rate;
    `bert_adam` warms it up, lets it fall to 0 over `epochs`, decays weights and clips gradients.
    """

    layers: int = 1
    hidden_units: int = 256
    dropout: float = 0.1
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    batch_size: int = 16
    epochs: int = 10

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> Hyperparameters:
        """Raises ValueError that names an unknown or impossible parameter."""
        values = parameters.read(cls, params)
        parameters.check_choice("optimizer", values.optimizer, OPTIMIZERS)
        for name in ("layers", "hidden_units", "batch_size", "epochs"):
            parameters.check_number(name, getattr(values, name), 1)
        parameters.check_number("dropout", values.dropout, 0, 1)
        parameters.check_number("learning_rate", values.learning_rate, 0)
        return values


@dataclass(frozen=True, slots=True)
class Texts:
    """`words` [N, 40] int64, padded with 0, and `packages` [N] int64."""

    words: Tensor
    packages: Tensor


@dataclass(frozen=True, slots=True)
class Data:
    train: Texts
    validation: Texts
    test: Texts
    vocabulary: int  # how many words there are, padding and the unknown word included


class Block(nn.Module):
    """One layer: attention and a feed-forward part, each as x + f(norm(x))."""

    def __init__(self, hp: Hyperparameters) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(WIDTH)
        self.queries_keys_values = nn.Linear(WIDTH, 3 * WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.before_units = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, hp.hidden_units)
        self.narrow = nn.Linear(hp.hidden_units, WIDTH)

    def attend(self, hidden: Tensor, padded: Tensor) -> Tensor:
        """`hidden` [N, T, 64], `padded` [N, T] -> [N, T, 64]."""
        count, length, _ = hidden.shape
        parts = self.queries_keys_values(self.before_attention(hidden))
        shape = (count, length, 3, HEADS, WIDTH // HEADS)
        queries, keys, values = parts.view(shape).permute(2, 0, 3, 1, 4)
        scores = queries @ keys.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)
        weights = scores.masked_fill(padded[:, None, None, :], -math.inf).softmax(-1)
        mixed: Tensor = self.mix((weights @ values).transpose(1, 2).reshape(hidden.shape))
        return mixed

    def think(self, hidden: Tensor) -> Tensor:
        """`hidden` [N, T, 64] -> [N, T, 64]."""
        thought: Tensor = self.narrow(functional.gelu(self.widen(self.before_units(hidden))))
        return thought


class Network(nn.Module):
    """Words and places in, the mean over the words of what the layers made of them out.

    All that is random in it comes from `rng`.
    """

    def __init__(
        self, hp: Hyperparameters, vocabulary: int, rng: torch.Generator, device: torch.device
    ) -> None:
        super().__init__()
        with torch.device(device):
            self.words = nn.Parameter(torch.empty(vocabulary, WIDTH))
            self.places = nn.Parameter(torch.empty(MOST_WORDS, WIDTH))
            self.blocks = nn.ModuleList(Block(hp) for _ in range(hp.layers))
            self.last = nn.LayerNorm(WIDTH)
            self.out = nn.Linear(WIDTH, len(PACKAGES))
        for name, weight in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            elif weight.dim() == 2:
                # Devlin et al. (2019) draw all matrices so.
                nn.init.trunc_normal_(weight, std=0.02, a=-0.04, b=0.04, generator=rng)
        self._dropout = hp.dropout
        self._rng = rng

    def forward(self, words: Tensor) -> Tensor:
        """`words` [N, T] -> logits [N, 8]."""
        padded = words == PADDING
        hidden = self._drop(
            functional.embedding(words, self.words) + self.places[: words.shape[1]]
        )
        for block in self.blocks:
            assert isinstance(block, Block)
            hidden = hidden + self._drop(block.attend(hidden, padded))
            hidden = hidden + self._drop(block.think(hidden))
        there = (~padded).unsqueeze(-1)
        mean = (self.last(hidden) * there).sum(1) / there.sum(1)
        logits: Tensor = self.out(mean)
        return logits

    def _drop(self, hidden: Tensor) -> Tensor:
        if self.training and self._dropout:
            return drop(hidden, self._dropout, self._rng)
        return hidden


def train(run: Run) -> None:
    """Train and evaluate after every epoch; the step of what is logged is the epoch, from 1.

    `train_loss` is the mean over the epoch's batches, with dropout; the other scores are of whole
    sets without it. `gradient_norm` is the mean over the epoch of the whole gradient's L2 norm
    before clipping, `learning_rate` that of its last step. A network whose outputs are not finite
    has no accuracy (NaN). The test accuracy, logged once, is that of the epoch with the best
    validation accuracy, also when the run ended early.
    """
    hp = Hyperparameters.read(run.params)
    check_corpus(run.data)
    device = exact_device()
    data = load(run.split_seed, device)
    rng = torch.Generator(device).manual_seed(run.train_seed)
    order = torch.Generator().manual_seed(run.train_seed)
    network = Network(hp, data.vocabulary, rng, device)
    optimizer = make_optimizer(hp, network)
    rates = learning_rates(hp, steps=hp.epochs * math.ceil(len(data.train.words) / hp.batch_size))
    best = BestWeights(network, maximize=True)
    epoch = 0
    for epoch in run.until_stopped(range(1, hp.epochs + 1)):
        permutation = torch.randperm(len(data.train.words), generator=order).to(device)
        train_loss, norm = train_epoch(hp, network, optimizer, rates, data.train, permutation)
        validation_loss, accuracy = evaluate(network, data.validation)
        best.see(accuracy)
        metrics = {
            "train_loss": train_loss,
            "validation_loss": validation_loss,
            "validation_accuracy": accuracy,
            "learning_rate": optimizer.param_groups[0]["lr"],
            "gradient_norm": norm,
        }
        run.log(metrics, step=epoch)
    best.restore()
    _, accuracy = evaluate(network, data.test)
    run.log({"test_accuracy": accuracy}, step=epoch)


def check_corpus(wanted: Mapping[str, str]) -> None:
    """Raises ValueError when an experiment names other data than there are.

    There is one corpus for a version of Python, as in {name: docstrings, version: "3.11"}.
    """
    there = {
        "name": "docstrings",
        "version": f"{sys.version_info.major}.{sys.version_info.minor}",
        "checksum": docstrings.checksum(),
    }
    for key, value in wanted.items():
        if value and value != there.get(key):
            raise ValueError(
                f"data.{key}: the experiment names {value}, there is {there.get(key)}"
            )


def train_epoch(
    hp: Hyperparameters,
    network: Network,
    optimizer: torch.optim.Optimizer,
    rates: Iterator[float],
    texts: Texts,
    permutation: Tensor,
) -> tuple[float, float]:
    """One pass in the order of `permutation`; mean loss and mean gradient norm of its batches."""
    network.train()
    losses, norms = [], []
    weights = list(network.parameters())
    for start in range(0, len(permutation), hp.batch_size):
        some = permutation[start : start + hp.batch_size]
        optimizer.param_groups[0]["lr"] = next(rates)
        optimizer.zero_grad()
        loss = functional.cross_entropy(
            network(shortened(texts.words[some])), texts.packages[some]
        )
        torch.autograd.backward(loss)
        norm = nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None])
        if hp.optimizer == "bert_adam":
            nn.utils.clip_grads_with_norm_(weights, BERT_CLIPPING, norm)
        optimizer.step()
        losses.append(loss.detach())
        norms.append(norm)
    return float(torch.stack(losses).mean()), float(torch.stack(norms).mean())


@torch.inference_mode()
def evaluate(network: Network, texts: Texts) -> tuple[float, float]:
    """Mean cross-entropy and accuracy; both NaN or infinite when the outputs are not finite."""
    network.eval()
    logits = network(shortened(texts.words))
    loss = float(functional.cross_entropy(logits, texts.packages))
    if not bool(logits.isfinite().all()):
        return loss, math.nan
    return loss, int((logits.argmax(1) == texts.packages).sum()) / len(texts.packages)


def shortened(words: Tensor) -> Tensor:
    """`words` [N, T] without the columns in which all texts have ended."""
    longest = int((words != PADDING).sum(1).max())
    return words[:, :longest]


def make_optimizer(hp: Hyperparameters, network: Network) -> torch.optim.Optimizer:
    weights = list(network.parameters())
    if hp.optimizer == "bert_adam":
        return torch.optim.AdamW(
            weights, hp.learning_rate, eps=1e-6, weight_decay=BERT_DECAY, fused=True
        )
    return torch.optim.Adam(weights, hp.learning_rate, fused=True)


def learning_rates(hp: Hyperparameters, steps: int) -> Iterator[float]:
    """The learning rate of each step: constant, or BERT's linear warm-up and linear fall to 0."""
    warmup = round(BERT_WARMUP * steps) if hp.optimizer == "bert_adam" else 0
    for step in range(steps):
        if hp.optimizer != "bert_adam":
            yield hp.learning_rate
        elif step < warmup:
            yield hp.learning_rate * (step + 1) / warmup
        else:
            yield hp.learning_rate * (steps - step) / max(1, steps - warmup)


def load(split_seed: int, device: torch.device) -> Data:
    """The texts, split by `split_seed` with equal shares of every package."""
    texts = corpus()
    packages = np.array([text.package for text in texts])
    held_out = round(HELD_OUT_SHARE * len(texts))
    parts = three_parts(len(texts), held_out, split_seed, packages)
    counts = Counter(word for row in parts[0] for word in texts[row].words)
    # A word that stands there once tells nothing about the next text.
    known = sorted(word for word, count in counts.items() if count > 1)
    numbers = {word: number for number, word in enumerate(known, start=UNKNOWN + 1)}

    def encoded(rows: Any) -> Texts:
        words = np.full((len(rows), MOST_WORDS), PADDING)
        for place, row in enumerate(rows):
            line = [numbers.get(word, UNKNOWN) for word in texts[row].words]
            words[place, : len(line)] = line
        return Texts(
            torch.tensor(words, dtype=torch.int64, device=device),
            torch.tensor(packages[rows], dtype=torch.int64, device=device),
        )

    train, validation, test = (encoded(rows) for rows in parts)
    return Data(train, validation, test, len(known) + UNKNOWN + 1)
