"""The trials of a search along its hyperparameters: the input of rules about the space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.curves.learning_curve import Floats
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
    return axes_of(
        space,
        positions(space, [trial.parameters for trial in trials]),
        scores=np.array([trial.score for trial in trials], dtype=np.float64),
        feasible=np.array([trial.feasible for trial in trials], dtype=np.bool_),
        arms=np.array([trial.arm for trial in trials], dtype=np.int64),
    )


def positions(space: SearchSpace, trials: Sequence[Mapping[str, Any]]) -> Floats:
    """Positions [N, P] of trials' parameters along every searched hyperparameter, see `Axis`."""
    columns = [
        _positions(hyperparameter, [parameters.get(name) for parameters in trials])
        for name, hyperparameter in _searched(space).items()
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((len(trials), 0))


def axes_of(
    space: SearchSpace,
    positions: Floats,
    *,
    scores: Floats,
    feasible: NDArray[np.bool_],
    arms: NDArray[np.int64],
) -> list[Axis]:
    """One axis for each searched hyperparameter over trials at these positions [N, P]."""
    several = np.unique(arms).size > 1
    return [
        _axis(hyperparameter, unit, scores, feasible, arms if several else None)
        for hyperparameter, unit in zip(_searched(space).values(), positions.T, strict=True)
    ]


def _searched(space: SearchSpace) -> dict[str, Hyperparameter]:
    return {
        hyperparameter.name: hyperparameter
        for arm in space.arms()
        for hyperparameter in arm.searched
    }


def _positions(hyperparameter: Hyperparameter, values: list[object]) -> Floats:
    domain = searched_domain(hyperparameter)
    if isinstance(domain, Range):
        return unit_positions(values, low=domain.low, high=domain.high, log=domain.log)
    return unit_positions(values, choices=domain.values)


def _axis(
    hyperparameter: Hyperparameter,
    unit: Floats,
    scores: Floats,
    feasible: NDArray[np.bool_],
    arms: NDArray[np.int64] | None,
) -> Axis:
    domain = searched_domain(hyperparameter)
    if isinstance(domain, Range):
        return Axis(
            name=hyperparameter.name,
            unit=unit,
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
        unit=unit,
        scores=scores,
        feasible=feasible,
        kind=AxisKind.ORDERED if domain.ordered else AxisKind.CATEGORICAL,
        natural=hyperparameter.natural,
        choices=domain.values,
        arm=arms,
    )
