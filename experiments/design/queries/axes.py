"""The trials of a search along its hyperparameters: the input of rules about the space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.analysis.space.axis import Axis, AxisKind, unit_positions
from experiments.design.space.search_space import (
    Hyperparameter,
    Range,
    SearchSpace,
    searched_domain,
)


@dataclass(frozen=True, slots=True)
class TrialPoint:
    """A finished trial as a point of its search space; `score` is NaN where it has none."""

    parameters: Mapping[str, Any]
    score: float
    feasible: bool
    arm: int


def axes(space: SearchSpace, trials: Sequence[TrialPoint]) -> list[Axis]:
    """One axis for each searched hyperparameter over these trials, in their order."""
    scores = np.array([trial.score for trial in trials], dtype=np.float64)
    feasible = np.array([trial.feasible for trial in trials], dtype=np.bool_)
    arms = np.array([trial.arm for trial in trials], dtype=np.int64)
    several = len(set(arms.tolist())) > 1
    searched = {
        hyperparameter.name: hyperparameter
        for arm in space.arms()
        for hyperparameter in arm.searched
    }
    return [
        _axis(
            hyperparameter,
            [trial.parameters.get(name) for trial in trials],
            scores,
            feasible,
            arms if several else None,
        )
        for name, hyperparameter in searched.items()
    ]


def _axis(
    hyperparameter: Hyperparameter,
    values: list[object],
    scores: np.ndarray,
    feasible: np.ndarray,
    arms: np.ndarray | None,
) -> Axis:
    domain = searched_domain(hyperparameter)
    if isinstance(domain, Range):
        return Axis(
            name=hyperparameter.name,
            unit=unit_positions(values, low=domain.low, high=domain.high, log=domain.log),
            scores=scores,
            feasible=feasible,
            kind=AxisKind.INTEGER if domain.integer else AxisKind.CONTINUOUS,
            natural=hyperparameter.natural,
            low=domain.low,
            high=domain.high,
            log=domain.log,
            arm=arms,
        )
    return Axis(
        name=hyperparameter.name,
        unit=unit_positions(values, choices=domain.values),
        scores=scores,
        feasible=feasible,
        kind=AxisKind.ORDERED if domain.ordered else AxisKind.CATEGORICAL,
        natural=hyperparameter.natural,
        choices=domain.values,
        arm=arms,
    )
