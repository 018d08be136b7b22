"""Charts beside a runs table: curves of its ticked runs, or its first ones, or its groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import QueryDict

from experiments.charts.learning_curves import Line, Mean, learning_curves
from experiments.trials.panels.curve_panel import lines_of
from experiments.trials.panels.metric_groups import SYSTEM, MetricGroup, metric_groups
from experiments.trials.panels.panel import Chart, Panel
from experiments.trials.panels.run_table import chosen_columns
from experiments.trials.series.queries.curves import TrialCurves, curves_of, mean_curves
from experiments.trials.table.filter_language import InvalidFilter
from experiments.trials.table.queries.drawn_runs import DrawnRuns, drawn_runs
from experiments.trials.table.queries.run_groups import known_groups
from experiments.trials.table.queries.run_scope import RunFields, RunScope
from experiments.trials.table.runs_state import read_state

_NO_FIELDS = RunFields((), (), (), {})
POINTS = 6000  # of all lines of a chart together
FEWEST_POINTS = 60
_MOST_IN_LEGEND = 4
MOST_CHARTS, USUAL_CHARTS = 12, 4


@dataclass(frozen=True, slots=True)
class RunCharts(Panel):
    """Charts of runs; `chosen` are the keys of the drawn metrics, `singles` whether the runs of a
    group are drawn beside its mean.
    """

    chosen: Sequence[str] = ()
    has_epochs: bool = False
    grouped: bool = False
    singles: bool = False
    hidden: Sequence[tuple[str, str]] = ()


def run_charts(scope: RunScope, query: QueryDict) -> RunCharts:
    """The charts that an address asks for: `metric` (several) and `singles`."""
    state = read_state(query)
    state = replace(state, groups=known_groups(state.groups))
    try:
        drawn = drawn_runs(scope, state, chosen_columns(scope, state, _NO_FIELDS))
    except InvalidFilter as error:
        return RunCharts("runs", empty=error.message)
    return charts_of(drawn, scope, query, grouped=bool(state.groups))


def charts_of(
    drawn: DrawnRuns, scope: RunScope, query: QueryDict, *, grouped: bool = False
) -> RunCharts:
    """Charts of drawn runs: of the metrics that an address chooses, else the usual ones."""
    singles = query.get("singles") == "1"
    hidden = [(n, v) for n, values in query.lists() if n not in ("metric", "singles", "since")
              for v in values]  # fmt: skip
    shared: dict[str, Any] = {
        "grouped": grouped,
        "singles": singles,
        "hidden": hidden,
        "picked": query.get("trials", ""),
    }
    points = max(FEWEST_POINTS, POINTS // max(1, len(drawn.trials)))
    declared = scope.declared
    curves = curves_of(drawn.trials, declared, points=points)
    names = {name for curve in curves for name in curve.series}
    groups = metric_groups(names, declared, scope.metric)
    chosen = _chosen(groups, query.getlist("metric"))
    if not chosen:
        words = "These runs logged no series." if drawn.trials else "Curves appear with runs."
        return RunCharts("runs", empty=words, groups=list(groups.values()), **shared)
    return RunCharts(
        "runs",
        [_chart(drawn, curves, groups[key], scope, singles, place)
         for place, key in enumerate(chosen)],
        note=_note(drawn, curves, [groups[key] for key in chosen]),
        groups=list(groups.values()),
        group=chosen[0],
        chosen=chosen,
        has_epochs=any(s.epochs is not None for curve in curves for s in curve.series.values()),
        **shared,
    )  # fmt: skip


def _chosen(groups: Mapping[str, MetricGroup], wanted: Sequence[str]) -> list[str]:
    asked = [key for key in dict.fromkeys(wanted) if key in groups][:MOST_CHARTS]
    logged = [key for key, group in groups.items() if not group.members[0].startswith(SYSTEM)]
    return asked or logged[:USUAL_CHARTS]


def _chart(
    drawn: DrawnRuns,
    curves: Sequence[TrialCurves],
    group: MetricGroup,
    scope: RunScope,
    singles: bool,
    place: int,
) -> Chart:
    lines, marks = lines_of(curves, group)
    means: list[Mean] = []
    if drawn.banded:
        found = mean_curves(drawn.trials, scope.declared, group.members)
        means = [
            Mean(side, name, name in group.train, curve, *group.apart(name), drawn.members)
            for (side, name), curve in found.items()
        ]
        several = {mean.group for mean in means}
        # A group of one run has no mean: its curve stands for it.
        lines = [line for line in lines if singles or line.group not in several]
        lines = [_alone(line) if line.group not in several else line for line in lines]
    figure = learning_curves(lines, marks, (), means, y_title=group.title)
    # The table's swatches say which curve is whose; of few runs the first chart says it in words,
    # too: a longer legend would leave it no room.
    named = drawn.banded or len(drawn.trials) <= _MOST_IN_LEGEND
    figure["layout"]["showlegend"] = place == 0 and named
    figure["layout"]["margin"] |= {"t": 24 if place == 0 else 8, "b": 40}
    label = f"Learning curves: {group.title}"
    return Chart(f"figure-runs-{place}", group.title, figure, label, "runs-chart")


def _alone(line: Line) -> Line:
    """The only curve of a group, named after it."""
    return replace(line, trial_name=line.group, group="")


def _note(drawn: DrawnRuns, curves: Sequence[TrialCurves], groups: Sequence[MetricGroup]) -> str:
    names = {name for group in groups for name in group.members}
    series = [s for curve in curves for name, s in curve.series.items() if name in names]
    shown, total = sum(len(s.steps) for s in series), sum(s.total for s in series)
    sentences = [drawn.words]
    if shown < total and not drawn.banded:
        sentences.append(f"{shown:,} of {total:,} points shown")
    if any(group.train for group in groups):
        sentences.append("Solid validation, dotted train")
    return "".join(f"{sentence}. " for sentence in sentences if sentence).strip()
