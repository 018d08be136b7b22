"""What a search varied and what it held fixed: the bounds of any conclusion from it."""

from __future__ import annotations

from typing import Any

from experiments.search_space import Choices, Domain, Fixed, Range, SearchSpace, show


def varied(space: SearchSpace) -> list[dict[str, str]]:
    """The hyperparameters that the search varied, scientific ones first, each with its values."""
    return [
        {"name": each.name, "role": role, "values": _values(each.domain)}
        for role in ("scientific", "nuisance")
        for each in space.of_role(role)
    ]


def fixed(space: SearchSpace) -> dict[str, Any]:
    """The hyperparameters that were fixed: the conclusion holds for these values only."""
    held = ((each.name, each.domain) for each in space.of_role("fixed"))
    return {
        name: dict(domain.values) if domain.by else domain.value
        for name, domain in held
        if isinstance(domain, Fixed)
    }


def _values(domain: Domain) -> str:
    if isinstance(domain, Range):
        return f"{show(domain.low)} to {show(domain.high)}"
    if isinstance(domain, Choices):
        return ", ".join(show(value) for value in domain.values)
    return ""
