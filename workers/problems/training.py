"""Training shared by the torch problems: split by seed, exact repetition, best epoch's weights."""

from __future__ import annotations

import copy
import math
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Read when CUDA starts: without it its matrix products are refused as not deterministic.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

Rows = NDArray[np.int64]


def exact_device() -> torch.device:
    """The device to train on, with torch set so that the same seeds give the same bits."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def three_parts(
    count: int, held_out: int, split_seed: int, classes: NDArray[Any] | None = None
) -> tuple[Rows, Rows, Rows]:
    """Row numbers to train, validate and test with; `held_out` of each of the last two.

    With `classes` [count], every class has the same share in each part.
    """
    state = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(split_seed)))
    rest, test = train_test_split(
        np.arange(count), test_size=held_out, stratify=classes, random_state=state
    )
    train, validation = train_test_split(
        rest,
        test_size=held_out,
        stratify=None if classes is None else classes[rest],
        random_state=state,
    )
    return train, validation, test


def drop(values: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Dropout that draws from `rng` and not from the generator that everyone shares."""
    draws = torch.rand(values.shape, generator=rng, device=values.device)
    return values * (draws >= share) / (1 - share)


class BestWeights:
    """The weights of the epoch with the best validation score so far, the first one on ties.

    Chosen in retrospect, after the Tuning Playbook, "Saving checkpoints and retrospectively
    selecting the best checkpoint".
    """

    def __init__(self, network: nn.Module, *, maximize: bool) -> None:
        self._network = network
        self._sign = 1.0 if maximize else -1.0
        self._best = -math.inf
        self._weights: dict[str, Any] | None = None

    def see(self, score: float) -> None:
        """Keep the present weights if `score` is better than all before; NaN never is."""
        if self._sign * score > self._best:
            self._best = self._sign * score
            self._weights = copy.deepcopy(self._network.state_dict())

    def restore(self) -> None:
        """Put the best weights back; the present ones stay when no score was a number."""
        if self._weights is not None:
            self._network.load_state_dict(self._weights)
