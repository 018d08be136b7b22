"""The groups of trials that an isolation plot compares."""

from __future__ import annotations

import numpy as np

from experiments.analysis.best_of import expected_best_unbiased
from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.space.axis import Axis, AxisKind, unit_positions
from experiments.analysis.space.isolation import isolation_groups
from experiments.charts.isolation import ValueScores
from experiments.design.space.search_space import Hyperparameter, Range, searched_domain
from experiments.trials.panels.parts import ExperimentParts
from experiments.trials.table.queries.search_points import SearchPoints


def isolated_values(parts: ExperimentParts, points: SearchPoints) -> dict[str, list[ValueScores]]:
    """By title of the plot, the values that it compares; nothing without a scientific one.

    The arms are one plot. A scientific hyperparameter of a mixed space has one of its own: its
    values, or eight buckets of equal counts where it is continuous.
    """
    direction = Direction(parts.experiment.direction)
    found: dict[str, list[ValueScores]] = {}
    if len(parts.arms) > 1:
        title = _arms_title(parts)
        arms = [
            (
                _without(arm.label, title),
                np.flatnonzero(points.complete & (points.arms == arm.index)),
            )
            for arm in parts.arms
        ]
        found[title] = _fairly(points, arms, direction)
    for name in parts.parameters:
        hyperparameter = parts.file.space[name] if parts.file else None
        if hyperparameter is not None and hyperparameter.role == "scientific":
            groups = [
                (_without(label, name).removeprefix(f"{name} "), members)
                for label, members in isolation_groups(_axis(hyperparameter, points))
            ]
            found[name] = _fairly(points, groups, direction)
    return found


def _arms_title(parts: ExperimentParts) -> str:
    """Differences between the arms, said once above the plot."""
    names = dict.fromkeys(
        part.split(" = ")[0]
        for arm in parts.arms
        for part in arm.label.split(", ")
        if " = " in part
    )
    return ", ".join(names)


def _without(label: str, name: str) -> str:
    """A value without the name that stands above the plot already."""
    return label.removeprefix(f"{name} = ")


def _fairly(
    points: SearchPoints, groups: list[tuple[str, np.ndarray]], direction: Direction
) -> list[ValueScores]:
    fewest = min((int(members.size) for _, members in groups if members.size), default=0)
    return [
        ValueScores(
            label,
            points.scores[members],
            [points.names[int(i)] for i in members],
            expected_best_unbiased(points.scores[members], fewest, direction)
            if members.size
            else None,
        )
        for label, members in groups
    ]


def _axis(hyperparameter: Hyperparameter, points: SearchPoints) -> Axis:
    domain = searched_domain(hyperparameter)
    column = points.column(hyperparameter.name)
    if isinstance(domain, Range):
        return Axis(
            name=hyperparameter.name,
            unit=unit_positions(column, low=domain.low, high=domain.high, log=domain.log),
            scores=points.scores,
            feasible=points.complete,
            kind=AxisKind.INTEGER if domain.integer else AxisKind.CONTINUOUS,
            low=domain.low,
            high=domain.high,
            log=domain.log,
        )
    return Axis(
        name=hyperparameter.name,
        unit=unit_positions(column, choices=domain.values),
        scores=points.scores,
        feasible=points.complete,
        kind=AxisKind.ORDERED if domain.ordered else AxisKind.CATEGORICAL,
        choices=domain.values,
    )
