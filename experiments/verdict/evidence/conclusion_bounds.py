"""Bounds of a conclusion: which hyperparameters the search varied, which it held fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.design.space.search_space import Choices, Domain, Fixed, Range, SearchSpace, show


def varied(space: SearchSpace) -> list[dict[str, str]]:
    """The hyperparameters that the search varied, scientific ones first, each with its values."""
    return [
        {"name": hyperparameter.name, "role": role, "values": _values(hyperparameter.domain)}
        for role in ("scientific", "nuisance")
        for hyperparameter in space.of_role(role)
    ]


def fixed(space: SearchSpace) -> dict[str, Any]:
    """The hyperparameters that were fixed: the conclusion holds for these values only."""
    values = (
        (hyperparameter.name, hyperparameter.domain) for hyperparameter in space.of_role("fixed")
    )
    return {
        name: dict(domain.values) if domain.by else domain.value
        for name, domain in values
        if isinstance(domain, Fixed)
    }


def varied_in(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """As `varied`, of runs [N] whose programs chose their own parameters."""
    by_name = {
        name: _distinct(name, runs) for name in dict.fromkeys(n for run in runs for n in run)
    }
    return [
        {"name": name, "role": "chosen by programs", "values": ", ".join(values)}
        for name, values in by_name.items()
        if len(values) > 1
    ]


def fixed_in(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """As `fixed`, of runs [N] whose programs chose their own parameters."""
    first = runs[0] if runs else {}
    return {name: value for name, value in first.items() if len(_distinct(name, runs)) == 1}


def _distinct(name: str, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(show(run[name]) if name in run else "absent" for run in runs))


def _values(domain: Domain) -> str:
    if isinstance(domain, Range):
        return f"{show(domain.low)} to {show(domain.high)}"
    if isinstance(domain, Choices):
        return ", ".join(show(value) for value in domain.values)
    return ""
