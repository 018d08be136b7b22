"""A search space in words: where the values of a hyperparameter lie, how they are ordered."""

from __future__ import annotations

from experiments.design.space.search_space import Choices, Fixed, Hyperparameter, show
from experiments.web.formatting import number


def domain_words(hyperparameter: Hyperparameter) -> str:
    """Range or choices of its values: 0.0001 to 0.1; 32, 64, 128; adam."""
    domain = hyperparameter.domain
    if isinstance(domain, Fixed):
        if domain.by:
            listed = ", ".join(f"{key}: {show(value)}" for key, value in domain.values.items())
            return f"by {domain.by}: {listed}"
        return show(domain.value)
    if isinstance(domain, Choices):
        return ", ".join(show(value) for value in domain.values)
    step = f", step {domain.step:g}" if domain.step else ""
    return f"{number(domain.low)} to {number(domain.high)}{step}"


def scale_words(hyperparameter: Hyperparameter) -> str:
    """Scale of its values."""
    domain = hyperparameter.domain
    if isinstance(domain, Fixed):
        return ""
    if isinstance(domain, Choices):
        return "ordered" if domain.ordered else "unordered"
    parts = ["log" if domain.log else "linear"]
    if domain.integer:
        parts.append("whole numbers")
    limits = {"low": "cannot go lower", "high": "cannot go higher"}
    parts += [
        limits[edge] for edge in sorted(hyperparameter.natural, reverse=True) if edge in limits
    ]
    return ", ".join(parts)


def condition_words(hyperparameter: Hyperparameter) -> str:
    """Under which values of others it exists."""
    return ", ".join(
        f"where {name} is {' or '.join(show(value) for value in among)}"
        for name, among in hyperparameter.when.items()
    )
