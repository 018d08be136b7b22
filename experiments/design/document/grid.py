"""The points of a grid search: every combination of a few values of each hyperparameter."""

from __future__ import annotations

import math

from experiments.design.space.search_space import Arm, Choices, Range, Scalar, searched_domain

# "If you only have one or two dimensions to explore": Tuning Playbook, FAQ, "Why use quasi-random
# search?" and Bergstra and Bengio (2012): each further dimension repeats the same few values.
MOST_DIMENSIONS = 2
MOST_POINTS = 100_000


def grid_values(domain: Range | Choices, points: int) -> tuple[Scalar, ...]:
    """The values of one hyperparameter, both edges included.

    All choices and all steps; of a range without a step `points` values, equally far apart on
    its scale; of whole numbers at most `points` different ones.
    """
    if isinstance(domain, Choices):
        return domain.values
    bins = domain.bins
    if bins is not None and (domain.step is not None or bins <= points):
        return tuple(domain.at(place) for place in range(bins))
    low, high = domain.low, domain.high
    shares = [index / (points - 1) for index in range(points)]
    if domain.log:
        low, high = math.log(low), math.log(high)
        spread = [math.exp(low + share * (high - low)) for share in shares]
    else:
        spread = [low + share * (high - low) for share in shares]
    spread[0], spread[-1] = domain.low, domain.high  # exactly, whatever exp(log()) gives
    return tuple(dict.fromkeys(_typed(domain, value) for value in spread))


def arm_grid(arm: Arm, points: int) -> dict[str, tuple[Scalar, ...]]:
    """The values of each searched hyperparameter of an arm, by name."""
    return {
        hyperparameter.name: grid_values(searched_domain(hyperparameter), points)
        for hyperparameter in arm.searched
    }


def grid_size(arm: Arm, points: int) -> int:
    """Number of trials in an arm's whole grid; counted, as it may be too many to build."""
    return math.prod(
        _count(searched_domain(hyperparameter), points) for hyperparameter in arm.searched
    )


def _count(domain: Range | Choices, points: int) -> int:
    stepped = isinstance(domain, Range) and domain.step is not None
    if stepped and isinstance(domain, Range) and domain.bins is not None:
        return domain.bins
    return len(grid_values(domain, points))


def _typed(domain: Range, value: float) -> int | float:
    value = min(max(value, domain.low), domain.high)
    return round(value) if domain.integer else float(value)
