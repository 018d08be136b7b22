"""Kinds of hyperparameters, as far as their names tell.

Names are what people write in their files: `learning_rate`, `lr`, `sgd_lr`, `max_grad_norm`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any


class HyperparameterKind(StrEnum):
    """Those that rules ask for."""

    LEARNING_RATE = "learning_rate"
    WARMUP = "warmup"
    CLIPPING = "clipping"
    REGULARISER = "regulariser"
    BATCH_SIZE = "batch_size"
    STEPS = "steps"
    EPOCHS = "epochs"
    OTHER = "other"


# The first that fits counts: `warmup_steps` is no number of steps, `lr_warmup` no rate.
_PATTERNS: tuple[tuple[HyperparameterKind, str], ...] = (
    (HyperparameterKind.WARMUP, r"warm_?up"),
    (HyperparameterKind.CLIPPING, r"clip|max_grad(ient)?_norm"),
    (HyperparameterKind.OTHER, r"decay_(steps|epochs|factor|rate)|schedule|patience"),
    (HyperparameterKind.LEARNING_RATE, r"(^|_)(learning_rate|lr|eta)$|^(learning_rate|lr)(_|$)"),
    (
        HyperparameterKind.REGULARISER,
        r"dropout|drop_path|weight_decay|label_smoothing|(^|_)l[12](_|$)|augment|mixup|cutmix|"
        r"cutout|regulari[sz]",
    ),
    (HyperparameterKind.BATCH_SIZE, r"batch_?size"),
    (HyperparameterKind.EPOCHS, r"^(max_|num_|n_)?(train_)?epochs$"),
    (
        HyperparameterKind.STEPS,
        r"^(max_|num_|n_)?(train_|training_)?(steps|iterations|iters|updates)$",
    ),
)


@lru_cache(maxsize=1024)
def kind_of(name: str) -> HyperparameterKind:
    """Return what a hyperparameter of this name is for; OTHER if the name does not tell."""
    lower = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    return next(
        (kind for kind, pattern in _PATTERNS if re.search(pattern, lower)),
        HyperparameterKind.OTHER,
    )


def first_of(names: Iterable[str], kind: HyperparameterKind) -> str | None:
    """Return the first name of a kind; None if there is none."""
    return next((name for name in names if kind_of(name) is kind), None)


def number_of(parameters: Mapping[str, Any], *kinds: HyperparameterKind) -> float | None:
    """Return the value of the first hyperparameter of these kinds that is a number."""
    for kind in kinds:
        for name, value in parameters.items():
            if kind_of(name) is kind and _is_number(value):
                return float(value)
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
