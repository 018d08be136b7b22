"""Guard metrics: what a change may not break while it improves the official metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Literal

from experiments.analysis.number_formats import significant

Bound = Literal["at most", "at least"]


@dataclass(frozen=True, slots=True)
class Limit:
    """What the mean of one metric may be at most or must be at least, in its unit."""

    metric: str
    bound: Bound
    limit: float

    def __post_init__(self) -> None:
        if self.bound not in ("at most", "at least"):
            raise ValueError(f"Unknown bound {self.bound!r}: at most or at least.")
        if not isfinite(self.limit):
            raise ValueError(f"The limit of {self.metric} is not a finite number.")


@dataclass(frozen=True, slots=True)
class Guard:
    """A limit on the mean of one metric over the candidate's replicates.

    `values`: one a replicate, in the metric's unit; NaN where it was not measured.
    """

    name: str
    values: tuple[float, ...]
    limit: float
    bound: Bound = "at most"

    def __post_init__(self) -> None:
        if self.bound not in ("at most", "at least"):
            raise ValueError(f"Unknown bound {self.bound!r}: at most or at least.")
        if isnan(self.limit):
            raise ValueError(f"The limit of {self.name} is not a number.")


@dataclass(frozen=True, slots=True)
class GuardResult:
    """A guard held against its replicates: `mean` is None when nothing was measured."""

    name: str
    mean: float | None
    limit: float
    bound: Bound
    measured: int
    replicates: int
    broken: bool
    text: str


def check_guard(guard: Guard) -> GuardResult:
    """Hold the mean of a guard metric against its limit; unmeasured counts as broken.

    Replicates without a value are left out of the mean and counted in the text. An infinite value
    is a value.
    """
    measured = [value for value in guard.values if not isnan(value)]
    mean = sum(measured) / len(measured) if measured else None
    if mean is not None and isnan(mean):  # both infinities
        mean = None
    if mean is None:
        broken, text = True, f"{guard.name} was not measured in any replicate"
    else:
        broken = mean > guard.limit if guard.bound == "at most" else mean < guard.limit
        text = (
            f"the mean {guard.name} is {significant(mean)}, "
            f"{'not ' if broken else ''}{guard.bound} {significant(guard.limit)}"
        )
        if len(measured) < len(guard.values):
            text += f" (measured in {len(measured)} of {len(guard.values)} replicates)"
    return GuardResult(
        guard.name, mean, guard.limit, guard.bound, len(measured), len(guard.values), broken, text
    )


def check_guards(guards: Sequence[Guard]) -> tuple[GuardResult, ...]:
    """Check every guard; one broken limit blocks adopting."""
    return tuple(check_guard(guard) for guard in guards)
