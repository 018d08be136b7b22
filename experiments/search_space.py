"""Hyperparameters with roles: parse, validate, split into arms, map to the unit cube.

Roles after the Deep Learning Tuning Playbook, "Identifying scientific, nuisance, and fixed
hyperparameters". Standard library, NumPy-free; of Optuna only its distributions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Role = Literal["scientific", "nuisance", "fixed"]
Scalar = str | int | float | bool | None
ROLES: tuple[Role, ...] = ("scientific", "nuisance", "fixed")
# Few scientific values make one study an arm; more make one mixed, quasi-random space.
MOST_ARMS = 12


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`; integers when `integer`; `step` counts from `low`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    integer: bool = False

    @property
    def bins(self) -> int | None:
        """How many values there are, None for a continuum."""
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
            index = min(int(u * bins), bins - 1)
            value = self.low + index * (self.step or 1)
            return int(value) if self.integer else float(min(value, self.high))
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
        return (value - self.low) / (self.high - self.low)

    def distribution(self) -> BaseDistribution:
        if self.integer:
            return IntDistribution(
                int(self.low), int(self.high), log=self.log, step=int(self.step or 1)
            )
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def holds(self, value: Any) -> bool:
        """Whether `value` is a number inside the range (and whole, if the range is)."""
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
    """One value, or one for each value of another hyperparameter (`by`)."""

    value: Scalar = None
    by: str = ""
    values: Mapping[str, Scalar] = field(default_factory=dict)


Domain = Range | Choices | Fixed


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """A named domain with its role for this goal.

    `natural` names edges that are limits by nature ("low" for dropout 0): never "extend".
    `when` holds values of other hyperparameters under which this one exists.
    """

    name: str
    role: Role
    domain: Domain
    natural: frozenset[str] = frozenset()
    when: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)

    def exists_under(self, values: Mapping[str, Scalar]) -> bool:
        """Whether its condition holds for an assignment of the other hyperparameters."""
        return all(
            name in values and any(same_scalar(values[name], allowed) for allowed in among)
            for name, among in self.when.items()
        )


@dataclass(frozen=True, slots=True)
class Arm:
    """One assignment of the scientific hyperparameters, with what it searches and fixes."""

    index: int
    values: Mapping[str, Scalar]
    fixed: Mapping[str, Scalar]
    searched: tuple[Hyperparameter, ...]

    @property
    def label(self) -> str:
        return ", ".join(f"{name} = {show(value)}" for name, value in self.values.items())

    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions of what this arm searches, in the file's order."""
        return {
            parameter.name: searched_domain(parameter).distribution()
            for parameter in self.searched
        }

    def from_unit(self, point: Sequence[float]) -> dict[str, Scalar]:
        """Map a point [D] of the unit cube to values of the searched hyperparameters."""
        if len(point) != len(self.searched):
            raise ValueError(f"point: want {len(self.searched)} coordinates, got {len(point)}")
        return {
            parameter.name: searched_domain(parameter).from_unit(u)
            for parameter, u in zip(self.searched, point, strict=True)
        }

    def complete(self, searched: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """All parameters of a trial: fixed, scientific and searched ones."""
        return {**self.fixed, **self.values, **searched}


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """All hyperparameters of an experiment, in the file's order."""

    hyperparameters: tuple[Hyperparameter, ...]

    def of_role(self, role: Role) -> tuple[Hyperparameter, ...]:
        return tuple(each for each in self.hyperparameters if each.role == role)

    def __getitem__(self, name: str) -> Hyperparameter:
        for each in self.hyperparameters:
            if each.name == name:
                return each
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(each.name == name for each in self.hyperparameters)

    @property
    def is_mixed(self) -> bool:
        """Whether scientific values are drawn in one space instead of one study an arm."""
        scientific = self.of_role("scientific")
        if not all(isinstance(each.domain, Choices) for each in scientific):
            return True
        return math.prod(len(choices(each).values) for each in scientific) > MOST_ARMS

    def arms(self) -> tuple[Arm, ...]:
        """One arm for each assignment of the scientific hyperparameters; one if mixed."""
        scientific = () if self.is_mixed else self.of_role("scientific")
        assignments = list(self._assignments(scientific))
        return tuple(self._arm(index, values) for index, values in enumerate(assignments))

    def _assignments(self, scientific: Sequence[Hyperparameter]) -> Iterator[dict[str, Scalar]]:
        """Assignments whose conditions hold, each once."""
        seen: list[dict[str, Scalar]] = []
        for combination in itertools.product(*(choices(each).values for each in scientific)):
            values = dict(zip((each.name for each in scientific), combination, strict=True))
            known = {**self._constants(values), **values}
            values = {
                each.name: values[each.name] for each in scientific if each.exists_under(known)
            }
            if values not in seen:
                seen.append(values)
                yield values

    def _constants(self, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
        fixed: dict[str, Scalar] = {}
        for each in self.of_role("fixed"):
            domain = each.domain
            if isinstance(domain, Fixed):
                known = {**fixed, **values}
                if not domain.by:
                    fixed[each.name] = domain.value
                elif domain.by in known and str(known[domain.by]) in domain.values:
                    fixed[each.name] = domain.values[str(known[domain.by])]
        return fixed

    def _arm(self, index: int, values: Mapping[str, Scalar]) -> Arm:
        constants = self._constants(values)
        known = {**constants, **values}
        fixed = {
            name: value for name, value in constants.items() if self[name].exists_under(known)
        }
        searched = tuple(
            each
            for each in self.hyperparameters
            if not isinstance(each.domain, Fixed)
            and each.name not in values
            and (each.role == "nuisance" or self.is_mixed)
            and each.exists_under(known)
        )
        return Arm(index, dict(values), fixed, searched)


def searched_domain(parameter: Hyperparameter) -> Range | Choices:
    """The domain of a hyperparameter that is searched.

    Raises:
        TypeError: for a fixed one.
    """
    if isinstance(parameter.domain, Fixed):
        raise TypeError(f"{parameter.name} is fixed")
    return parameter.domain


def choices(parameter: Hyperparameter) -> Choices:
    """The choices of a hyperparameter that has them.

    Raises:
        TypeError: for one with a range or a fixed value.
    """
    if not isinstance(parameter.domain, Choices):
        raise TypeError(f"{parameter.name} has no choices")
    return parameter.domain


def same_scalar(left: Any, right: Any) -> bool:
    """Equality that keeps true and 1 apart and takes 1 and 1.0 for the same."""
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)


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
