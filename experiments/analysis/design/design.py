"""A design before its first trial: what the rules on roles, spaces and budgets read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from experiments.analysis.design.hyperparameter_kinds import HyperparameterKind, kind_of

# "With probability 0.95 at least one point": how sure the count of points shall be.
SURE = 0.95
# A value of a scientific hyperparameter needs at least so many points to be compared.
POINTS_PER_VALUE = 5


class Part(StrEnum):
    """Part of the method that a hyperparameter belongs to, as far as its name tells."""

    LEARNING_RATE = "learning rate"
    MOMENTUM = "momentum"
    BETA1 = "beta1"
    BETA2 = "beta2"
    EPSILON = "epsilon"
    WEIGHT_DECAY = "weight decay"
    SCHEDULE = "schedule"
    OPTIMIZER = "optimizer"
    BATCH_SIZE = "batch size"
    STEPS = "length of training"
    REGULARISER = "regulariser"
    ARCHITECTURE = "architecture"
    ARM = "code or data"
    OTHER = "other"


# How the optimizer is set, beside the choice of one.
OPTIMIZER_PARTS = frozenset(
    {
        Part.LEARNING_RATE,
        Part.MOMENTUM,
        Part.BETA1,
        Part.BETA2,
        Part.EPSILON,
        Part.WEIGHT_DECAY,
        Part.SCHEDULE,
    }
)
_KINDS = {
    HyperparameterKind.LEARNING_RATE: Part.LEARNING_RATE,
    HyperparameterKind.WARMUP: Part.SCHEDULE,
    HyperparameterKind.REGULARISER: Part.REGULARISER,
    HyperparameterKind.BATCH_SIZE: Part.BATCH_SIZE,
    HyperparameterKind.STEPS: Part.STEPS,
    HyperparameterKind.EPOCHS: Part.STEPS,
}
# Asked before the kinds above: more of a name is told apart here.
_PATTERNS: tuple[tuple[Part, str], ...] = (
    (Part.WEIGHT_DECAY, r"weight_decay|(^|_)wd$"),
    (Part.BETA1, r"beta_?1$"),
    (Part.BETA2, r"beta_?2$"),
    (Part.EPSILON, r"(^|_)(eps|epsilon)$"),
    (Part.MOMENTUM, r"momentum"),
    (Part.SCHEDULE, r"schedule|warm_?up|decay_(steps|epochs|factor|rate)|(lr|rate)_decay"),
    (Part.OPTIMIZER, r"^optimi[sz]er(_name)?$|^opt$"),
)
_ARCHITECTURE = (
    r"layer|hidden|units|width|depth|heads|channels|filters|kernel|embed|backbone|architecture|"
    r"activation|(^|_)norm(alization)?$|d_model|blocks"
)


def part_of(name: str) -> Part:
    """Return what a hyperparameter of this name is a part of; OTHER if the name does not tell."""
    lower = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    for part, pattern in _PATTERNS:
        if re.search(pattern, lower):
            return part
    found = _KINDS.get(kind_of(name))
    if found is not None:
        return found
    return Part.ARCHITECTURE if re.search(_ARCHITECTURE, lower) else Part.OTHER


@dataclass(frozen=True, slots=True)
class DesignParameter:
    """One hyperparameter of a design.

    role: scientific, nuisance or fixed. values: how many it can take, None for a continuum.
    choices: the values of choices or of a fixed one. low, high, log: of a range. needs: names of
    others that decide whether it exists.
    """

    name: str
    role: str
    values: int | None = None
    choices: tuple[object, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    needs: tuple[str, ...] = ()
    part: Part = Part.OTHER

    @property
    def key(self) -> str:
        """Its key in the experiment file."""
        return "arms" if self.part is Part.ARM else f"hyperparameters.{self.name}"

    @property
    def better_half(self) -> float:
        """The share of its values that are at least as good as half of them."""
        return 0.5 if self.values is None else math.ceil(self.values / 2) / self.values


@dataclass(frozen=True, slots=True)
class DesignArm:
    """One study: its label, how many trials it has, what it searches and what it holds fixed."""

    label: str
    trials: int
    searched: tuple[str, ...]
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Design:
    """An experiment as it was declared.

    compares: whether it says that it compares something. mixed: scientific values are drawn in
    one space. quasi_random, adaptive: of the sampler. objective_split: of the official metric.
    ready_to_exploit: whether an earlier search settled the space; None when nobody looked.
    interactions: share of the variance of earlier scores that a pair of hyperparameters explains
    together beyond what each explains alone.
    """

    goal: str
    parameters: tuple[DesignParameter, ...]
    arms: tuple[DesignArm, ...]
    sampler: str = "halton"
    quasi_random: bool = True
    adaptive: bool = False
    parallel: int = 1
    mixed: bool = False
    compares: bool = False
    objective_split: str = "validation"
    ready_to_exploit: bool | None = None
    interactions: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def of_role(self, role: str) -> tuple[DesignParameter, ...]:
        return tuple(parameter for parameter in self.parameters if parameter.role == role)

    def of_part(self, *parts: Part) -> tuple[DesignParameter, ...]:
        return tuple(parameter for parameter in self.parameters if parameter.part in parts)

    def named(self, names: Iterable[str]) -> tuple[DesignParameter, ...]:
        """The hyperparameters of these names, in the design's order."""
        wanted = set(names)
        return tuple(parameter for parameter in self.parameters if parameter.name in wanted)

    @property
    def dimensions(self) -> int:
        """The most dimensions that a study searches."""
        return max((len(arm.searched) for arm in self.arms), default=0)


def listed(parameters: Iterable[DesignParameter | str]) -> str:
    """Names in a sentence: "a", "a and b", "a, b and c"."""
    names = [
        parameter if isinstance(parameter, str) else parameter.name for parameter in parameters
    ]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def points_needed(parameters: Iterable[DesignParameter]) -> int:
    """Number of points that a space needs for one that is good in every dimension at once.

    So many that with probability 0.95 at least one of n independent points lies in the better
    half of every range: n = log(0.05) / log(1 - 0.5^d). Quasi-random points do no worse. It is a
    yardstick of ours: the playbook names no number.
    """
    share = math.prod(parameter.better_half for parameter in parameters)
    if share >= 1:
        return 1
    # log1p: with 40 dimensions the share is below the resolution of 1 - share.
    return math.ceil(math.log(1 - SURE) / math.log1p(-share) - 1e-9)
