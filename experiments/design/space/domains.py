"""Domains of hyperparameters: a range, choices, or one fixed value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Scalar = str | int | float | bool | None

# In steps: how far a value that was computed may lie from its step.
_STEP_ROUNDING = 1e-8


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`; integers when `integer`; `step` counts from `low`."""

    # A stored range is no fixed value.
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    low: float
    high: float
    log: bool = False
    step: float | None = None
    integer: bool = False

    @property
    def bins(self) -> int | None:
        """Number of values, None for a continuum."""
        if self.step is not None:
            return math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return int(self.high) - int(self.low) + 1 if self.integer else None

    def from_unit(self, u: float) -> float | int:
        """The value at position `u` in [0, 1) of the range; every bin is equally wide."""
        if self.integer and self.log:
            low, top = math.log(self.low), math.log(self.high + 1)
            whole = math.floor(math.exp(low + u * (top - low)) + 1e-12)
            return min(max(whole, int(self.low)), int(self.high))
        bins = self.bins
        if bins is not None:
            return self.at(min(int(u * bins), bins - 1))
        if self.log:
            low, top = math.log(self.low), math.log(self.high)
            return min(max(math.exp(low + u * (top - low)), self.low), self.high)
        return min(self.low + u * (self.high - self.low), self.high)

    def to_unit(self, value: float) -> float:
        """Position of `value` after the transform; the middle of its bin if binned."""
        if self.integer and self.log:
            low, top = math.log(self.low), math.log(self.high + 1)
            return (math.log(value + 0.5) - low) / (top - low)
        bins = self.bins
        if bins is not None:
            return ((value - self.low) / (self.step or 1) + 0.5) / bins
        if self.log:
            return (math.log(value) - math.log(self.low)) / (
                math.log(self.high) - math.log(self.low)
            )
        if math.isinf(self.high - self.low):
            return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return (value - self.low) / (self.high - self.low)

    def on_step(self, value: float) -> bool:
        """Test whether `value` is one of those that can be drawn, up to rounding; a continuum has
        all.

        Outside the range this says nothing.
        """
        if self.bins is None:
            return True
        place = (value - self.low) / (self.step or 1)
        return abs(place - round(place)) < _STEP_ROUNDING and round(place) < self.bins

    def nearest(self, value: float) -> tuple[float | int, ...]:
        """The values that can be drawn next to one between them: two, or one beyond the last."""
        last = (self.bins or 1) - 1
        below = min(max(math.floor((value - self.low) / (self.step or 1)), 0), last)
        places = sorted({below, min(below + 1, last)})
        return tuple(self.at(place) for place in places)

    def at(self, place: int) -> float | int:
        """The value so many steps above `low`, as a person writes it: 0.3 after 0.1 and 0.2.

        Floats give 0.1 + 2 * 0.1 = 0.30000000000000004, another configuration than the 0.3 of a
        file; in decimals the sum is exact.
        """
        value = Decimal(str(self.low)) + place * Decimal(str(self.step or 1))
        return int(value) if self.integer else min(float(value), float(self.high))

    def snapped(self, value: float) -> float | int:
        """The step that a sampler's `value` means; of a continuum, the value itself."""
        if self.bins is None:
            return value
        return self.at(round((value - self.low) / (self.step or 1)))

    def distribution(self) -> BaseDistribution:
        if self.integer:
            return IntDistribution(
                int(self.low), int(self.high), log=self.log, step=int(self.step or 1)
            )
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def holds(self, value: Any) -> bool:
        """Test whether `value` is a number inside the range (and whole, if the range is)."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return self.low <= value <= self.high and (not self.integer or float(value).is_integer())


@dataclass(frozen=True, slots=True)
class Choices:
    """A set of values; `ordered` ones form a scale with edges."""

    values: tuple[Scalar, ...]
    ordered: bool = False

    def from_unit(self, u: float) -> Scalar:
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]

    def to_unit(self, value: Scalar) -> float:
        return (self.index(value) + 0.5) / len(self.values)

    def index(self, value: Scalar) -> int:
        """Position of `value`; True and 1 are different values.

        Raises:
            ValueError: when `value` is no choice.
        """
        for position, choice in enumerate(self.values):
            if same_scalar(choice, value):
                return position
        raise ValueError(f"{value!r} is none of {list(self.values)}")

    def distribution(self) -> BaseDistribution:
        return CategoricalDistribution(self.values)

    def holds(self, value: Any) -> bool:
        return any(same_scalar(choice, value) for choice in self.values)


@dataclass(frozen=True, slots=True)
class Fixed:
    """One value, or one for each value of another hyperparameter (`by`).

    The keys of `values` are values of the other one as text, see `scalar_key`.
    """

    value: Scalar = None
    by: str = ""
    values: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def needs(self) -> frozenset[str]:
        """The hyperparameters that decide its value."""
        return frozenset((self.by,)) if self.by else frozenset()

    def has_value_under(self, known: Mapping[str, Scalar]) -> bool:
        """Test whether the values of the others tell this one."""
        return not self.by or (self.by in known and scalar_key(known[self.by]) in self.values)

    def value_under(self, known: Mapping[str, Scalar]) -> Scalar:
        """Its value under those of the others.

        Raises:
            KeyError: when they do not tell it.
        """
        return self.values[scalar_key(known[self.by])] if self.by else self.value


Domain = Range | Choices | Fixed


def refusal(domain: Range | Choices, value: Any) -> str:
    """Reason that a trial may not have this value, to follow it in a sentence; "" when it may."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(domain, Range) and is_number and domain.low <= value <= domain.high:
        if domain.on_step(value):
            return ""
        nearest = " or ".join(map(str, domain.nearest(value)))
        return f"lies between its steps; the nearest is {nearest}"
    return "" if domain.holds(value) else "lies outside its range or choices"


def same_scalar(left: Any, right: Any) -> bool:
    """Equality that keeps true and 1 apart and takes 1 and 1.0 for the same."""
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)


def scalar_key(value: Any) -> str:
    """A value as it stands as a key in a file, where YAML and JSON write keys differently."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def show(value: Scalar) -> str:
    """A value as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)


def domain_of(distribution: BaseDistribution) -> Range | Choices:
    """The domain that an Optuna distribution describes.

    Raises:
        TypeError: for a kind of distribution that Optuna adds later.
    """
    if isinstance(distribution, IntDistribution):
        step = None if distribution.step == 1 else float(distribution.step)
        return Range(distribution.low, distribution.high, distribution.log, step, integer=True)
    if isinstance(distribution, FloatDistribution):
        return Range(distribution.low, distribution.high, distribution.log, distribution.step)
    if isinstance(distribution, CategoricalDistribution):
        return Choices(tuple(distribution.choices))
    raise TypeError(f"cannot read {type(distribution).__name__}")
