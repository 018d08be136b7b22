"""Samplers and pruners by name, with the options they take: data that forms and checks share.

The objects themselves are built by `workers.search`; this module knows no Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a sampler or pruner: its type, default, and smallest and largest value."""

    kind: type
    default: Any
    low: float | None = None
    high: float | None = None

    def problem(self, value: Any) -> str | None:
        """Say what is wrong with `value`, or None when it is fine."""
        if value is None and self.default is None:
            return None
        if isinstance(value, bool) is not (self.kind is bool) or not isinstance(
            value, (int, float) if self.kind is float else self.kind
        ):
            return f"found {value!r}, want {_KIND_NAMES[self.kind]}"
        if isinstance(value, (int, float)):
            if self.low is not None and value < self.low:
                return f"found {value!r}, want {self.low:g} or more"
            if self.high is not None and value > self.high:
                return f"found {value!r}, want {self.high:g} or less"
        return None


_KIND_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True, slots=True)
class Method:
    """A sampler or pruner: name in files, title on pages, options."""

    name: str
    title: str
    options: Mapping[str, Option] = field(default_factory=dict)
    quasi_random: bool = False
    adaptive: bool = False


def _by_name(*methods: Method) -> dict[str, Method]:
    return {method.name: method for method in methods}


SAMPLERS = _by_name(
    Method(
        "halton",
        "Halton, scrambled",
        {"scramble": Option(bool, True)},
        quasi_random=True,
    ),
    Method("random", "Random"),
    Method(
        "tpe",
        "Tree-structured Parzen estimator",
        {
            "n_startup_trials": Option(int, 10, low=1),
            "n_ei_candidates": Option(int, 24, low=1),
            "multivariate": Option(bool, False),
            "group": Option(bool, False),
            "constant_liar": Option(bool, True),
        },
        adaptive=True,
    ),
)

PRUNERS = _by_name(
    Method("none", "None"),
    Method(
        "median",
        "Median",
        {
            "n_startup_trials": Option(int, 5, low=0),
            "n_warmup_steps": Option(int, 0, low=0),
            "interval_steps": Option(int, 1, low=1),
            "n_min_trials": Option(int, 1, low=1),
        },
    ),
)
