"""Charts of a free-standing study, one tab at a time: all that needs no experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from experiments.analysis.space.parameter_importance import LEAST_TRIALS, importance_shares
from experiments.charts.axes import MOST_DRAWN, AxisPlot, AxisPoints
from experiments.charts.importance import ImportancePlot, Share
from experiments.charts.intermediate import MOST_LINES, IntermediatePlot, ReportedLine
from experiments.charts.progress import DistributionPlot, HistoryPlot
from experiments.design.space.search_space import (
    Choices,
    Hyperparameter,
    Range,
    searched_domain,
)
from experiments.trials.panels.panel import Chart, Panel
from experiments.trials.panels.progress_panel import history_note, timeline_chart
from experiments.trials.panels.space_panels import (
    ALL_DRAWN,
    LEAST_DRAWN,
    contour_of,
    parallel_of,
    positions,
)
from experiments.trials.table.queries.free_studies import (
    FreeStudy,
    Objective,
    points_of,
    reports_of,
    searched_in,
)
from experiments.trials.table.queries.search_points import SearchPoints

TABS = {
    "history": "Progress",
    "slices": "Slices",
    "importance": "Importance",
    "parallel": "Parallel",
    "contour": "Contour",
    "reports": "Intermediate values",
}
MOST_NAMES = 24  # hyperparameters that are drawn, the most important ones
NOTHING_VARIED = "No hyperparameter varied between the trials: nothing to compare."
HALF = 0.5


@dataclass(frozen=True, slots=True)
class StudyView:
    """A study by one of its objectives: its finished trials and its hyperparameters, the most
    important first.
    """

    study: FreeStudy
    objective: Objective
    place: int
    points: SearchPoints
    ranked: tuple[Hyperparameter, ...]
    shares: tuple[Share, ...]

    @property
    def best(self) -> int | None:
        """Position of the best trial among the points."""
        scores = np.where(self.points.complete, self.points.scores, np.nan)
        if not np.isfinite(scores).any():
            return None
        return int(np.nanargmax(scores) if self.objective.maximize else np.nanargmin(scores))


def view_of(study: FreeStudy, place: int) -> StudyView:
    """Read a study's finished trials by the objective at a place (0 for one that is none)."""
    place = place if 0 <= place < len(study.objectives) else 0
    objective, points = study.objectives[place], points_of(study.id, place)
    names = searched_in(study.id)
    shares = _shares(names, points, objective)
    by_name = {share.name: share.whole for share in shares}
    ranked = sorted(names, key=lambda hyperparameter: -by_name.get(hyperparameter.name, 0.0))
    return StudyView(study, objective, place, points, tuple(ranked[:MOST_NAMES]), shares)


def _shares(
    names: list[Hyperparameter], points: SearchPoints, objective: Objective
) -> tuple[Share, ...]:
    """Importance of each hyperparameter; none while too few trials are complete."""
    if int(points.complete.sum()) < LEAST_TRIALS or not names:
        return ()
    units = {hyperparameter.name: positions(hyperparameter, points) for hyperparameter in names}
    domains = {hyperparameter.name: searched_domain(hyperparameter) for hyperparameter in names}
    choices = {
        name: len(domain.values) for name, domain in domains.items() if isinstance(domain, Choices)
    }
    scores = np.where(points.complete, points.scores, np.nan)
    whole, near = (
        importance_shares(
            units, scores, maximize=objective.maximize, choices=choices, region=region
        )
        for region in (1.0, HALF)
    )
    return tuple(Share(name, whole[name], near[name]) for name in units)


def panel(view: StudyView, asked: Mapping[str, str]) -> Panel:
    """The panel that an address asks for, progress for a tab that does not exist."""
    tab = asked.get("tab", "history")
    if tab == "reports":
        return _reports(view)
    if not view.points.complete.any():
        return Panel(
            tab if tab in TABS else "history",
            empty=f"No trial is complete with a finite {view.objective.name} yet.",
        )
    if tab == "contour":
        shown = contour_of(
            view.ranked,
            view.points,
            asked.get("across", ""),
            asked.get("up", ""),
            metric=view.objective.name,
            maximize=view.objective.maximize,
        )
        return shown if view.ranked else Panel("contour", empty=NOTHING_VARIED)
    draw: Mapping[str, Callable[[StudyView], Panel]] = {
        "slices": _slices,
        "importance": _importance,
        "parallel": _parallel,
    }
    return draw.get(tab, _history)(view)


def _history(view: StudyView) -> Panel:
    points, metric, maximize = view.points, view.objective.name, view.objective.maximize
    scores = [("all trials", points.scores[points.complete])]
    charts = [
        Chart(
            "figure-history",
            "History",
            HistoryPlot(points.scores, points.names, metric=metric, maximize=maximize),
            "Values in order and the best so far",
            note=history_note(points),
        ),
        Chart(
            "figure-edf",
            "Empirical distribution",
            DistributionPlot(scores, metric=metric, maximize=maximize),
            "Share of trials by value",
            note="Share of complete trials that are at least as good.",
        ),
    ]
    timeline = timeline_chart(points)
    return Panel("history", [*charts, timeline] if timeline else charts)


def _slices(view: StudyView) -> Panel:
    if not view.ranked:
        return Panel("slices", empty=NOTHING_VARIED)
    most = max(LEAST_DRAWN, min(MOST_DRAWN, ALL_DRAWN // len(view.ranked)))
    charts = [
        _slice(view, hyperparameter, place, most)
        for place, hyperparameter in enumerate(view.ranked)
    ]
    left = len(searched_in(view.study.id)) - len(view.ranked)
    note = f"Complete trials are dots, failed ones crosses; {most:,} a chart at most."
    if left:
        note += f" The {MOST_NAMES} most important of {left + MOST_NAMES} hyperparameters."
    return Panel("slices", charts, note=note)


def _slice(view: StudyView, hyperparameter: Hyperparameter, place: int, most: int) -> Chart:
    points, domain = view.points, searched_domain(hyperparameter)
    values, pruned = points.column(hyperparameter.name), points.pruned.tolist()
    where = [i for i, value in enumerate(values) if value is not None and not pruned[i]]
    if isinstance(domain, Choices):  # None may be a choice
        where = [i for i, found in enumerate(points.parameters) if hyperparameter.name in found]
        where = [i for i in where if not pruned[i]]
    along = AxisPoints(
        name=hyperparameter.name,
        values=[values[i] for i in where],
        scores=points.scores[where],
        names=[points.names[i] for i in where],
        groups=points.arms[where],
        log=isinstance(domain, Range) and domain.log,
        low=domain.low if isinstance(domain, Range) else None,
        high=domain.high if isinstance(domain, Range) else None,
        choices=None if isinstance(domain, Range) else tuple(domain.values),
    )
    figure = AxisPlot(
        along, metric=view.objective.name, maximize=view.objective.maximize, most=most
    )
    title = f"{hyperparameter.name} (log)" if along.log else hyperparameter.name
    label = f"{view.objective.name} along {hyperparameter.name}"
    return Chart(f"figure-slice-{place}", title, figure, label, "short")


def _importance(view: StudyView) -> Panel:
    if not view.shares:
        complete = int(view.points.complete.sum())
        words = f"Appears with {LEAST_TRIALS} complete trials; there are {complete}."
        return Panel("importance", empty=NOTHING_VARIED if complete >= LEAST_TRIALS else words)
    drawn = sorted(view.shares, key=lambda share: -share.whole)[:MOST_NAMES]
    note = (
        f"PED-ANOVA of {int(view.points.complete.sum()):,} complete trials: how differently a "
        "hyperparameter is spread among the best tenth. It tells what mattered in this space, "
        "not why."
    )
    label = "Share of each hyperparameter in what decides the value"
    return Panel(
        "importance", [Chart("figure-importance", "", ImportancePlot(drawn), label)], note=note
    )


def _parallel(view: StudyView) -> Panel:
    if not view.ranked:
        return Panel("parallel", empty=NOTHING_VARIED)
    return parallel_of(
        view.ranked, view.points, metric=view.objective.name, maximize=view.objective.maximize
    )


def _reports(view: StudyView) -> Panel:
    if len(view.study.objectives) > 1:
        return Panel(
            "reports", empty="Optuna reports intermediate values of studies with one objective."
        )
    found, count = reports_of(view.study.id, MOST_LINES)
    if not found:
        return Panel("reports", empty="No trial reported intermediate values (trial.report).")
    lines = [
        ReportedLine(
            str(trial.number),
            trial.state if trial.state != "waiting" else "running",
            trial.steps,
            trial.values,
        )
        for trial in found
    ]
    figure = IntermediatePlot(lines, metric=view.objective.name, maximize=view.objective.maximize)
    note = f"The newest {len(found):,} of {count:,} trials." if count > len(found) else ""
    chart = Chart("figure-reports", "", figure, "Intermediate values of each trial", "tall")
    return Panel("reports", [chart], note=note)
