"""Early stopping: when a run ends because its metric no longer improves.

Three meanings of patience that are in use; which one is meant has to be said, because they stop
at different evaluations of the same curve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

PatienceRule = Literal["since_best", "consecutive", "cumulative"]
PATIENCE_RULES: tuple[PatienceRule, ...] = ("since_best", "consecutive", "cumulative")


@dataclass(frozen=True, slots=True)
class Patience:
    """Waiting time for a better value.

    `rule` says what uses patience up:
    - since_best: an evaluation without a new best; a new best gives all of it back (Keras'
      EarlyStopping, pytorch-ignite's).
    - consecutive: an evaluation worse than the one before; one that is not gives all of it back
      (Prechelt, "Early Stopping - But When?", 1998, criterion UP).
    - cumulative: an evaluation without a new best; what is used up is never given back.

    Better and worse mean by more than `min_delta`, in the metric's unit. A value that is not
    finite is never an improvement and always worse than the one before.
    """

    patience: int
    min_delta: float = 0.0
    rule: PatienceRule = "since_best"

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ValueError(f"patience is {self.patience}; expected 1 or more")
        if not (math.isfinite(self.min_delta) and self.min_delta >= 0):
            raise ValueError(f"min_delta is {self.min_delta}; expected a finite number, 0 or more")
        if self.rule not in PATIENCE_RULES:
            raise ValueError(f"rule is {self.rule!r}; expected one of {', '.join(PATIENCE_RULES)}")


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """A patience and the metric it watches; "" is the official one, whose direction is known
    elsewhere."""

    metric: str
    maximize: bool | None
    patience: Patience


@dataclass(frozen=True, slots=True)
class Waiting:
    """State between evaluations; losses, so lower is better."""

    best: float = math.inf
    previous: float = math.inf
    used: int = 0


def after(waiting: Waiting, value: float, patience: Patience, *, maximize: bool) -> Waiting:
    """State after one more evaluation; patience is at its end at `used` of it."""
    loss = _loss(value, maximize)
    delta = patience.min_delta
    if patience.rule == "consecutive":
        worse = loss == math.inf or loss > waiting.previous + delta
        return replace(waiting, previous=loss, used=waiting.used + 1 if worse else 0)
    if loss < waiting.best - delta or (waiting.best == math.inf and loss < math.inf):
        used = waiting.used if patience.rule == "cumulative" else 0
        return replace(waiting, best=loss, used=used)
    return replace(waiting, used=waiting.used + 1)


def _loss(value: float, maximize: bool) -> float:
    if not math.isfinite(value):
        return math.inf
    return -value if maximize else value
