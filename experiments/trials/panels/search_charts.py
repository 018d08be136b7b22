"""The charts of an experiment, one tab at a time: read, think, draw."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.trials.panels.curve_panel import curves_panel, wanted_trials
from experiments.trials.panels.panel import Panel
from experiments.trials.panels.parts import ExperimentParts
from experiments.trials.panels.progress_panel import progress_panel
from experiments.trials.panels.space_panels import (
    axes_panel,
    contour_panel,
    importance_panel,
    isolation_panel,
    parallel_panel,
)
from experiments.trials.table.queries.search_points import SearchPoints, search_points

TABS = {
    "curves": "Learning curves",
    "axes": "Axes",
    "isolation": "Isolation",
    "importance": "Importance",
    "parallel": "Parallel",
    "contour": "Contour",
    "history": "Progress",
}


def panel(parts: ExperimentParts, asked: Mapping[str, str]) -> Panel:
    """The panel that an address asks for, learning curves for a tab that does not exist."""
    tab = asked.get("tab", "curves")
    if tab not in TABS or tab == "curves":
        picked = asked.get("trials", "")
        trials = wanted_trials(
            parts.experiment, len(parts.arms), picked, parts.complete_replication
        )
        return curves_panel(parts, trials, asked.get("metric", ""), picked)
    if tab == "importance":
        return importance_panel(parts)
    points = search_points(
        parts.experiment.pk,
        len(parts.arms),
        parameters=tab != "history",
        times=tab == "history",
    )
    if not points.complete.any():
        return Panel(tab, empty=_nothing_yet(points))
    if tab == "contour":
        return contour_panel(parts, points, asked.get("across", ""), asked.get("up", ""))
    if tab == "parallel":
        return parallel_panel(parts, points, asked.get("filter", ""))
    draw = {
        "axes": axes_panel,
        "isolation": isolation_panel,
        "history": progress_panel,
    }[tab]
    return draw(parts, points)


def _nothing_yet(points: SearchPoints) -> str:
    if len(points):
        return "No trial has ended with a score yet: this chart appears with the first."
    return "This chart appears with the first complete trial."
