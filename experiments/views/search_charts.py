"""The charts of a whole search, one tab at a time: read the trials, think, draw."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.charts.axes import MOST_DRAWN, AxisPoints, axis_plot
from experiments.charts.searches import (
    MOST_DOTS,
    MOST_LINES,
    ArmScores,
    Coordinate,
    history_plot,
    isolation_plot,
    parallel_plot,
)
from experiments.queries.findings import Findings
from experiments.queries.trial_table import Point, finished_trials
from experiments.search_space import Hyperparameter, Range, searched_domain, show
from experiments.views.curve_panel import curves_panel, wanted_trials
from experiments.views.experiment_parts import ExperimentParts
from experiments.views.panels import Chart, Panel

TABS = {
    "curves": "Learning curves",
    "axes": "Axes",
    "isolation": "Isolation",
    "parallel": "Parallel",
    "history": "History",
}


def panel(parts: ExperimentParts, *, tab: str, family: str = "", picked: str = "") -> Panel:
    """The panel of a tab, learning curves for one that does not exist."""
    draw = {
        "axes": _axes,
        "isolation": _isolation,
        "parallel": _parallel,
        "history": _history,
    }.get(tab)
    if draw is None:
        return curves_panel(
            parts, wanted_trials(parts.experiment, len(parts.arms), picked), family, picked
        )
    trials = finished_trials(parts.experiment.pk, len(parts.arms))
    if not any(row.score is not None for row in trials):
        return Panel(tab, empty="This chart appears with the first complete trial.")
    return draw(parts, trials)


def _searched(parts: ExperimentParts) -> list[Hyperparameter]:
    if parts.file is None:
        return []
    return [parts.file.space[name] for name in parts.parameters]


def _scores(trials: Sequence[Point]) -> NDArray[np.float64]:
    return np.array([math.nan if row.score is None else row.score for row in trials])


def _axes(parts: ExperimentParts, trials: Sequence[Point]) -> Panel:
    maximize = parts.experiment.direction == "maximize"
    rows = [row for row in trials if row.state != "pruned"]
    labels = [arm.label for arm in parts.arms]
    charts = []
    for place, each in enumerate(_searched(parts)):
        held = [row for row in rows if each.name in row.parameters]
        domain = searched_domain(each)
        points = AxisPoints(
            name=each.name,
            values=[row.parameters[each.name] for row in held],
            scores=_scores(held),
            names=[row.name for row in held],
            groups=np.array([row.arm for row in held], dtype=np.int64),
            group_labels=labels if len(labels) > 1 else (),
            log=isinstance(domain, Range) and domain.log,
            low=domain.low if isinstance(domain, Range) else None,
            high=domain.high if isinstance(domain, Range) else None,
            choices=None if isinstance(domain, Range) else tuple(domain.values),
            band=_band(parts.findings, each.name),
        )
        figure = axis_plot(points, metric=parts.experiment.official_metric, maximize=maximize)
        scale = " (log)" if points.log else ""
        charts.append(
            Chart(
                id=f"figure-axis-{place}",
                title=f"{each.name}{scale}",
                figure=figure,
                label=f"Scores along {each.name}",
                shape="short",
            )
        )
    failed = sum(row.score is None for row in rows)
    note = f"{len(rows):,} trials, each dot one."
    if len(rows) > MOST_DRAWN:
        note = (
            f"{MOST_DRAWN:,} of {len(rows):,} trials drawn: the best and an even draw of the rest."
        )
    if failed:
        note += f" {failed} failed: crosses at the edge."
    if len(labels) > 1:
        note += " One colour an arm."
    return Panel("axes", charts, note=note, empty="" if charts else "No search space is known.")


def _band(findings: Findings, name: str) -> tuple[float, float] | None:
    """The outer fifth of the range that an open boundary finding speaks of."""
    for row in findings.open:
        found = row.evidence
        if row.rule != "boundary" or found.get("hyperparameter") != name:
            continue
        low, high = found.get("low"), found.get("high")
        if not isinstance(low, int | float) or not isinstance(high, int | float) or high <= low:
            return None
        log = bool(found.get("log")) and low > 0
        edge = 0.2 if found.get("edge") == "low" else 0.8
        inner = low * (high / low) ** edge if log else low + edge * (high - low)
        return (low, inner) if edge == 0.2 else (inner, high)
    return None


def _isolation(parts: ExperimentParts, trials: Sequence[Point]) -> Panel:
    if len(parts.arms) < 2:
        return Panel(
            "isolation",
            empty="An isolation plot compares the arms of a scientific hyperparameter; this "
            "search has one arm.",
        )
    arms = []
    for arm in parts.arms:
        held = [row for row in trials if row.arm == arm.index and row.score is not None]
        arms.append(ArmScores(arm.label, _scores(held), [row.name for row in held]))
    maximize = parts.experiment.direction == "maximize"
    figure = isolation_plot(arms, metric=parts.experiment.official_metric, maximize=maximize)
    chart = Chart("figure-isolation", "", figure, "Scores of each arm, the best marked")
    return Panel(
        "isolation",
        [chart],
        note="Each arm with its nuisance hyperparameters tuned; the diamond is its best trial. "
        "The best of more trials is higher by luck alone: compare arms of equal counts.",
    )


def _parallel(parts: ExperimentParts, trials: Sequence[Point]) -> Panel:
    rows = [row for row in trials if row.score is not None]
    uprights = [_coordinate(each, rows) for each in _searched(parts)]
    if not uprights:
        return Panel("parallel", empty="No search space is known.")
    maximize = parts.experiment.direction == "maximize"
    metric = parts.experiment.official_metric
    figure = parallel_plot(uprights, _scores(rows), metric=metric, maximize=maximize)
    label = "Each trial as a line across its values"
    note = f"The best {min(MOST_LINES, len(rows))} of {len(rows):,} trials."
    return Panel("parallel", [Chart("figure-parallel", "", figure, label, "tall")], note=note)


def _coordinate(each: Hyperparameter, rows: Sequence[Point]) -> Coordinate:
    domain = searched_domain(each)
    positions = np.full(len(rows), math.nan)
    for index, row in enumerate(rows):
        value = row.parameters.get(each.name)
        if value is not None and domain.holds(value):
            positions[index] = domain.to_unit(value)
    if isinstance(domain, Range):
        return Coordinate(each.name, positions, f"{domain.low:.4g}", f"{domain.high:.4g}")
    return Coordinate(each.name, positions, show(domain.values[0]), show(domain.values[-1]))


def _history(parts: ExperimentParts, trials: Sequence[Point]) -> Panel:
    figure = history_plot(
        _scores(trials),
        [row.name for row in trials],
        metric=parts.experiment.official_metric,
        maximize=parts.experiment.direction == "maximize",
    )
    chart = Chart("figure-history", "", figure, "Scores in order and the best so far")
    note = "Each dot a trial; the line is the best so far."
    if len(trials) > MOST_DOTS:
        note += f" {MOST_DOTS:,} of {len(trials):,} dots drawn."
    return Panel("history", [chart], note=note)
