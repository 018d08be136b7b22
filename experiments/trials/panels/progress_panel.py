"""The panel that tells how the search went: history, expected best, scores, time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.best_of import expected_best_curve
from experiments.analysis.curves.learning_curve import Direction
from experiments.charts.progress import (
    MOST_BARS,
    MOST_DOTS,
    BestOfPlot,
    Curve,
    DistributionPlot,
    HistoryPlot,
    TimelinePlot,
)
from experiments.charts.thinning import counts_up_to
from experiments.trials.panels.panel import Chart, Panel
from experiments.trials.panels.parts import ExperimentParts
from experiments.trials.panels.space_panels import is_maximized, open_findings
from experiments.trials.table.queries.search_points import SearchPoints


def progress_panel(parts: ExperimentParts, points: SearchPoints) -> Panel:
    """Four charts of a search's trials in their order, by score, and in time."""
    metric, maximize = parts.experiment.official_metric, is_maximized(parts)
    by_arm = scores_by_arm(parts, points)
    history = HistoryPlot(points.scores, points.names, metric=metric, maximize=maximize)
    best_of = BestOfPlot(
        [best_of_curve(label, row, parts.experiment.direction) for label, row in by_arm],
        metric=metric,
    )
    charts = [
        Chart("figure-history", "History", history, "Scores in order and the best so far",
              note=history_note(points)),
        Chart("figure-best-of", "Expected best of n trials", best_of,
              "Expected best score by number of trials",
              note="What a search of n of these trials would find on average; no line goes beyond "
              "what was run.",
              findings=open_findings(parts, ("density", "budget_pays"))),
        Chart("figure-distribution", "Distribution of scores",
              DistributionPlot(by_arm, metric=metric, maximize=maximize),
              "Share of trials by score", note="Steep on the right: many trials are close to the "
              "best." if maximize else "Steep on the left: many trials are close to the best."),
    ]  # fmt: skip
    timeline = timeline_chart(points)
    return Panel("history", [*charts, timeline] if timeline else charts)


def scores_by_arm(
    parts: ExperimentParts, points: SearchPoints
) -> list[tuple[str, NDArray[np.float64]]]:
    """Feasible scores of each arm by its label; of all trials where there is one arm."""
    if len(parts.arms) < 2:
        return [("all trials", points.scores[points.complete])]
    return [
        (arm.label, points.scores[points.complete & (points.arms == arm.index)])
        for arm in parts.arms
    ]


def best_of_curve(label: str, scores: NDArray[np.float64], direction: str) -> Curve:
    """The expected best of 1, 2, ... N of these scores."""
    draws = counts_up_to(scores.size)
    return Curve(label, draws, expected_best_curve(scores, Direction(direction), draws).tolist())


def history_note(points: SearchPoints) -> str:
    """Caption of a chart of scores in their order."""
    note = "Each dot a trial; the line is the best so far."
    if len(points) > MOST_DOTS:
        note += f" {MOST_DOTS:,} of {len(points):,} dots drawn."
    return note


def timeline_chart(points: SearchPoints) -> Chart | None:
    """Each trial from its start to its end; None where no time is known."""
    known = np.isfinite(points.started) & np.isfinite(points.finished)
    if not known.any():
        return None
    groups = [
        (name, members)
        for name, members in (
            ("complete", points.complete),
            ("pruned", points.pruned),
            ("failed", points.failed),
        )
        if members.any()
    ]
    busy = float((points.finished - points.started)[known].sum())
    span = float(points.finished[known].max())
    note = "Each stroke is a trial from its start to its end"
    if span > 0 and math.isfinite(busy):
        note += f"; {busy / span:.2g} ran at once on average"
    note += "."
    if len(points) > MOST_BARS:
        note += f" {MOST_BARS:,} of {len(points):,} drawn."
    figure = TimelinePlot(points.started, points.finished, groups)
    return Chart("figure-timeline", "Timeline", figure, "When each trial ran", note=note)
