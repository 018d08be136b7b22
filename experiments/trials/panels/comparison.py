"""Two experiments compared: spaces, budgets, what n trials of each would find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy import float64
from numpy.typing import NDArray

from experiments.charts.progress import BestOfPlot, DistributionPlot
from experiments.trials.panels.panel import Chart
from experiments.trials.panels.parts import ExperimentParts
from experiments.trials.panels.progress_panel import best_of_curve
from experiments.trials.panels.side_by_side import (
    Caution,
    SpaceRow,
    at_equal_counts,
    cautions,
    comparable,
    space_rows,
)
from experiments.trials.table.queries.search_points import search_points


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison: differences, cautions, and the leader at equal counts; `charts` is
    empty where scores do not compare."""

    space: Sequence[SpaceRow]
    cautions: Sequence[Caution]
    summary: str
    charts: Sequence[Chart]

    @property
    def same(self) -> int:
        """Number of hyperparameters that agree."""
        return sum(not row.difference for row in self.space)


def compare(first: ExperimentParts, second: ExperimentParts) -> Comparison:
    """Read the scores of both and put them side by side."""
    points = [
        search_points(side.experiment.pk, len(side.arms), parameters=False)
        for side in (first, second)
    ]
    scores = [row.scores[row.complete] for row in points]
    drawn = comparable(first, second) and any(row.size for row in scores)
    return Comparison(
        space=space_rows(first, second),
        cautions=cautions(first, second),
        summary=at_equal_counts(first, second, scores[0], scores[1]),
        charts=_charts(first, second, scores) if drawn else (),
    )


def _charts(
    first: ExperimentParts, second: ExperimentParts, scores: Sequence[NDArray[float64]]
) -> list[Chart]:
    experiment = first.experiment
    metric, maximize = experiment.official_metric, experiment.direction == "maximize"
    named = list(zip((first.experiment.name, second.experiment.name), scores, strict=True))
    curves = [best_of_curve(name, row, experiment.direction) for name, row in named]
    return [
        Chart(
            "figure-best-of",
            "Expected best of n trials",
            BestOfPlot(curves, metric=metric),
            "Expected best score by number of trials",
            note="All arms of each together; read them at the same n.",
        ),
        Chart(
            "figure-distribution",
            "Distribution of scores",
            DistributionPlot(named, metric=metric, maximize=maximize),
            "Share of trials by score",
        ),
    ]
