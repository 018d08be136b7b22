"""Hyperparameters with roles: parse, validate, split into arms, map to the unit cube.

Roles after the Deep Learning Tuning Playbook, "Identifying scientific, nuisance, and fixed
hyperparameters". Standard library, NumPy-free; of Optuna only its distributions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from optuna.distributions import BaseDistribution

from experiments.design.space.domains import (
    Choices,
    Domain,
    Fixed,
    Range,
    Scalar,
    domain_of,
    same_scalar,
    scalar_key,
    show,
)

__all__ = (
    "ARM",
    "MOST_ARMS",
    "ROLES",
    "Arm",
    "Choices",
    "CodeAndData",
    "Domain",
    "Fixed",
    "Hyperparameter",
    "Range",
    "Role",
    "Scalar",
    "SearchSpace",
    "choices",
    "domain_of",
    "same_scalar",
    "scalar_key",
    "searched_domain",
    "show",
    "values_in_words",
)

Role = Literal["scientific", "nuisance", "fixed"]
ROLES: tuple[Role, ...] = ("scientific", "nuisance", "fixed")
# Few scientific values make one study an arm; more make one mixed, quasi-random space.
MOST_ARMS = 12
# The name under which arms that differ in code or data stand among the scientific values.
ARM = "arm"


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """A named domain with its role for this goal.

    `natural` names edges that are hard bounds ("low" for dropout 0): never "extend".
    `when` holds values of other hyperparameters under which this one exists.
    """

    name: str
    role: Role
    domain: Domain
    natural: frozenset[str] = frozenset()
    when: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)

    @property
    def needs(self) -> frozenset[str]:
        """The hyperparameters that decide whether it exists, or its value."""
        value = self.domain.needs if isinstance(self.domain, Fixed) else frozenset()
        return value | self.when.keys()

    def exists_under(self, values: Mapping[str, Scalar]) -> bool:
        """Test whether its condition holds for an assignment of the other hyperparameters."""
        return all(
            name in values and any(same_scalar(values[name], allowed) for allowed in among)
            for name, among in self.when.items()
        )


@dataclass(frozen=True, slots=True)
class CodeAndData:
    """Code and data of a training beside its parameters.

    `commit` of the code, "" for whatever the worker runs; `data` with the keys name, version
    and checksum, as far as they are given.
    """

    commit: str = ""
    data: Mapping[str, str] = field(default_factory=dict)

    def over(self, default: CodeAndData) -> CodeAndData:
        """This one, with what it leaves open taken from `default`."""
        return CodeAndData(self.commit or default.commit, self.data or default.data)


@dataclass(frozen=True, slots=True)
class Arm:
    """One assignment of the scientific hyperparameters, with what it searches and fixes.

    Where the file names arms, the `name` is among the `values` under `ARM`; it is no parameter
    of the training. `runs` is the code and the data of the arm.
    """

    index: int
    values: Mapping[str, Scalar]
    fixed: Mapping[str, Scalar]
    searched: tuple[Hyperparameter, ...]
    name: str = ""
    runs: CodeAndData = CodeAndData()

    @property
    def label(self) -> str:
        return values_in_words(self.values)

    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions of what this arm searches, in the file's order."""
        return {
            parameter.name: searched_domain(parameter).distribution()
            for parameter in self.searched
        }

    def from_unit(self, point: Sequence[float]) -> dict[str, Scalar]:
        """Map a point [D] of the unit cube to values of the searched hyperparameters."""
        if len(point) != len(self.searched):
            raise ValueError(f"point: expected {len(self.searched)} coordinates, got {len(point)}")
        return {
            parameter.name: searched_domain(parameter).from_unit(u)
            for parameter, u in zip(self.searched, point, strict=True)
        }

    def complete(self, searched: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """All parameters of a trial: fixed, scientific and searched ones."""
        scientific = dict(self.values)
        if self.name:
            del scientific[ARM]
        return {**self.fixed, **scientific, **searched}


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """All hyperparameters of an experiment, in the file's order.

    `named` holds code and data of the arms that the file names (they are the choices of the
    scientific `ARM`), `runs` those of all others.
    """

    hyperparameters: tuple[Hyperparameter, ...]
    named: Mapping[str, CodeAndData] = field(default_factory=dict)
    runs: CodeAndData = CodeAndData()

    def of_role(self, role: Role) -> tuple[Hyperparameter, ...]:
        return tuple(
            hyperparameter
            for hyperparameter in self.hyperparameters
            if hyperparameter.role == role
        )

    def __getitem__(self, name: str) -> Hyperparameter:
        for hyperparameter in self.hyperparameters:
            if hyperparameter.name == name:
                return hyperparameter
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(hyperparameter.name == name for hyperparameter in self.hyperparameters)

    @property
    def is_mixed(self) -> bool:
        """Test whether scientific values are drawn in one space instead of one study an arm."""
        scientific = self.of_role("scientific")
        if not all(isinstance(hyperparameter.domain, Choices) for hyperparameter in scientific):
            return True
        return (
            math.prod(len(choices(hyperparameter).values) for hyperparameter in scientific)
            > MOST_ARMS
        )

    def arms(self) -> tuple[Arm, ...]:
        """One arm for each assignment of the scientific hyperparameters; one if mixed."""
        scientific = () if self.is_mixed else self.of_role("scientific")
        assignments = list(self._assignments(scientific))
        return tuple(self._arm(index, values) for index, values in enumerate(assignments))

    def _assignments(self, scientific: Sequence[Hyperparameter]) -> Iterator[dict[str, Scalar]]:
        """Assignments of those that exist, each once."""
        seen = set()
        for combination in itertools.product(
            *(choices(hyperparameter).values for hyperparameter in scientific)
        ):
            given = dict(
                zip(
                    (hyperparameter.name for hyperparameter in scientific),
                    combination,
                    strict=True,
                )
            )
            known = self.known_under(given)
            values = {name: value for name, value in given.items() if name in known}
            key = tuple((name, isinstance(value, bool), value) for name, value in values.items())
            if key not in seen:
                seen.add(key)
                yield values

    def known_under(self, given: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Values of the fixed hyperparameters and of the `given` ones, of those that exist.

        Whatever decides over another is settled before it; those that wait for one another in a
        circle are left out.
        """
        known: dict[str, Scalar] = {}
        waiting = {
            hyperparameter.name: hyperparameter
            for hyperparameter in self.hyperparameters
            if isinstance(hyperparameter.domain, Fixed) or hyperparameter.name in given
        }
        while ready := [
            hyperparameter
            for hyperparameter in waiting.values()
            if not hyperparameter.needs & waiting.keys()
        ]:
            for hyperparameter in ready:
                del waiting[hyperparameter.name]
                domain = hyperparameter.domain
                if not hyperparameter.exists_under(known):
                    continue
                if not isinstance(domain, Fixed):
                    known[hyperparameter.name] = given[hyperparameter.name]
                elif domain.has_value_under(known):
                    known[hyperparameter.name] = domain.value_under(known)
        return known

    def _arm(self, index: int, values: Mapping[str, Scalar]) -> Arm:
        known = self.known_under(values)
        constants = self.of_role("fixed")
        fixed = {
            constant.name: known[constant.name] for constant in constants if constant.name in known
        }
        searched = [
            hyperparameter
            for hyperparameter in self.hyperparameters
            if not isinstance(hyperparameter.domain, Fixed)
            and hyperparameter.name not in values
            and (hyperparameter.role == "nuisance" or self.is_mixed)
            and hyperparameter.exists_under(known)
        ]
        # Those of every arm come first: they get the same quasi-random dimensions in all arms.
        searched.sort(key=lambda hyperparameter: bool(hyperparameter.when))
        name = str(values.get(ARM, "")) if self.named else ""
        runs = self.named[name].over(self.runs) if name else self.runs
        return Arm(index, dict(values), fixed, tuple(searched), name, runs)


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


def values_in_words(values: Mapping[str, Scalar]) -> str:
    """Scientific values as a label: "label_smoothing = 0.1"; a named arm by its name."""
    return ", ".join(
        str(value) if name == ARM else f"{name} = {show(value)}" for name, value in values.items()
    )
