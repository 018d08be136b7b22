"""Charts beside a runs table, a panel each: curves of its ticked runs, or its first ones, or its
groups, and what the runs of the table hold.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.http import QueryDict
from django.urls import reverse

from experiments.charts.learning_curves import LearningCurves, Line, Mean
from experiments.trials.panels.curve_panel import lines_of
from experiments.trials.panels.metric_groups import SYSTEM, MetricGroup, metric_groups
from experiments.trials.panels.panel import Chart, Panel
from experiments.trials.panels.point_panels import Drawn, PointPanels, run_label
from experiments.trials.panels.run_table import chosen_columns
from experiments.trials.series.queries.curves import TrialCurves, curves_of, mean_curves
from experiments.trials.table.columns import column_of
from experiments.trials.table.filter_language import InvalidFilter
from experiments.trials.table.panel_layout import KINDS, PanelSpec, read_layout
from experiments.trials.table.queries.drawn_runs import DrawnRuns, differences, drawn_runs
from experiments.trials.table.queries.run_groups import known_groups
from experiments.trials.table.queries.run_rows import RunRow
from experiments.trials.table.queries.run_scope import RunFields, RunScope
from experiments.trials.table.runs_state import RunsState, read_state

_NO_FIELDS = RunFields((), (), (), {})
POINTS = 6000  # of all lines of a chart together
ALL_POINTS = 60_000  # of all charts together
FEWEST_POINTS = 60
_MOST_IN_LEGEND = 4
USUAL_CHARTS = 4
MOST_COLUMNS = 400  # that are offered for further panels


@dataclass(frozen=True, slots=True)
class RunPanel(Chart):
    """A chart of the grid; `empty` says why there is none, `width` and `height` are in columns
    and rows.
    """

    what: str = ""  # kind and keys, as the address holds them
    width: int = 1
    height: int = 1
    empty: str = ""

    @property
    def kind(self) -> str:
        return self.what.partition(":")[0]

    @property
    def brushes(self) -> bool:
        """Test whether a drag along its axes filters the table."""
        return self.shape == "brush"


@dataclass(frozen=True, slots=True)
class RunCharts(Panel):
    """Charts of runs; `problems` are of panels that cannot be drawn, `singles` whether the runs of
    a group are drawn beside its mean, `named` the name of each run by its id, with what tells it
    apart from the others, `links` the pages of runs that a click on a point opens,
    `swatches` the hues of rows where points are drawn, `columns` those of further panels.
    """

    charts: Sequence[RunPanel] = ()
    problems: Sequence[str] = ()
    chosen: bool = False  # somebody has laid the panels out
    shown: Sequence[str] = ()  # keys of metric groups that have a panel
    has_epochs: bool = False
    grouped: bool = False
    singles: bool = False
    hidden: Sequence[tuple[str, str]] = ()
    named: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    links: Mapping[str, str] = field(default_factory=dict, repr=False)
    swatches: Mapping[str, str] = field(default_factory=dict, repr=False)
    columns: Sequence[tuple[str, str]] = ()

    @property
    def kinds(self) -> Mapping[str, str]:
        """Title of each kind of panel that can be added."""
        return {str(kind): title for kind, title in KINDS.items()}

    @property
    def has_curves(self) -> bool:
        return any(chart.kind == "curves" for chart in self.charts)


def run_charts(scope: RunScope, query: QueryDict, fields: RunFields | None = None) -> RunCharts:
    """The charts that an address asks for: `panel` (several) and `singles`. `fields`: those of
    which further panels can be made.
    """
    state = read_state(query)
    state = replace(state, groups=known_groups(state.groups))
    try:
        drawn = drawn_runs(scope, state, chosen_columns(scope, state, _NO_FIELDS))
        return charts_of(drawn, scope, query, state, fields)
    except InvalidFilter as error:
        return RunCharts("runs", empty=error.message)


def charts_of(
    drawn: DrawnRuns,
    scope: RunScope,
    query: QueryDict,
    state: RunsState | None = None,
    fields: RunFields | None = None,
) -> RunCharts:
    """Charts of drawn runs: the panels of an address, else curves of the usual metrics. `state`:
    of the table beside them, whose runs are drawn as points; without one the drawn runs are.

    Raises:
        InvalidFilter: saying what is wrong with the filter.
    """
    layout = read_layout(query.getlist("panel"), query.getlist("metric"))
    number = max(1, len(layout.panels) or USUAL_CHARTS)
    budget = min(POINTS, ALL_POINTS // number)
    points = max(FEWEST_POINTS, budget // max(1, len(drawn.trials)))
    curves = curves_of(drawn.trials, scope.declared, points=points)
    names = {name for curve in curves for name in curve.series}
    groups = metric_groups(names, scope.declared, scope.metric)
    panels = layout.panels if layout.chosen else _usual(groups)
    singles = query.get("singles") == "1"
    drawing = _Drawing(drawn, curves, groups, scope, singles, state)
    charts = [drawing.panel(spec) for spec in panels]
    rows = drawing.points.rows
    return RunCharts(
        "runs",
        charts,
        note=_note(drawn, curves, drawing.groups) if drawing.groups or not charts else "",
        empty="" if charts else _nothing(drawn, chosen=layout.chosen),
        groups=list(groups.values()),
        problems=layout.problems,
        chosen=layout.chosen,
        shown=[spec.keys[0] for spec in panels if spec.kind == "curves" and len(spec.keys) == 1],
        has_epochs=any(s.epochs is not None for curve in curves for s in curve.series.values()),
        grouped=bool(state and state.groups),
        singles=singles,
        hidden=[(name, value) for name, values in query.lists() for value in values
                if name not in ("singles", "since")],
        picked=query.get("trials", ""),
        named=_named(drawn, rows, scope) if charts else {},
        links=_links(rows, scope),
        swatches=_swatches(drawn) if rows else {},
        columns=_columns(scope, fields) if fields else (),
    )  # fmt: skip


def _named(
    drawn: DrawnRuns, rows: Mapping[int, RunRow], scope: RunScope
) -> dict[str, tuple[str, str]]:
    names = {key: run_label(row, scope) for key, row in rows.items()}
    names |= {trial.id: trial.name for trial in drawn.trials}
    apart = differences(list(names))
    return {str(key): (name, apart.get(key, "")) for key, name in names.items()}


def _swatches(drawn: DrawnRuns) -> dict[str, str]:
    """Hues of runs and groups as the table's script names them."""
    return {
        f"mean {key}" if isinstance(key, str) else str(key): hue for key, hue in drawn.hues.items()
    }


def _links(rows: Mapping[int, RunRow], scope: RunScope) -> dict[str, str]:
    """Page of each run, of one outside of experiments its study's."""
    found = {}
    pages: dict[str, str] = {}
    for key, row in rows.items():
        if row.experiment:
            if row.experiment not in pages:
                page = reverse("trial", args=[scope.slug, row.experiment, "0"])
                pages[row.experiment] = page.removesuffix("0/")
            found[str(key)] = f"{pages[row.experiment]}{row.name}/"
        elif row.study:
            found[str(key)] = reverse("study", args=[scope.slug, row.study])
    return found


def _columns(scope: RunScope, fields: RunFields) -> list[tuple[str, str]]:
    """Columns of which points, bars and lines can be drawn: key, words."""
    keys = ["score", *(f"params.{name}" for name in fields.parameters)]
    keys += [
        f"{kind}.{name}" for name in fields.metrics for kind in ("metrics", "best", "at_best")
    ]
    keys += ["seconds", "start_time", "best_step", "train_seed", "experiment", "arm", "device"]
    found = [(key, column_of(key, metric=scope.metric)) for key in keys]
    return [
        (key, f"{column.title} ({column.detail})" if column.detail else column.title)
        for key, column in found[:MOST_COLUMNS]
        if column is not None
    ]


def _usual(groups: Mapping[str, MetricGroup]) -> list[PanelSpec]:
    logged = [key for key, group in groups.items() if not group.members[0].startswith(SYSTEM)]
    return [PanelSpec("curves", (key,)) for key in logged[:USUAL_CHARTS]]


def _nothing(drawn: DrawnRuns, *, chosen: bool) -> str:
    if chosen:
        return "No panels. Add one above."
    return "These runs logged no series." if drawn.trials else "Curves appear with runs."


class _Drawing:
    """Panels of drawn runs, one after another; `groups` are those drawn so far."""

    def __init__(
        self,
        drawn: DrawnRuns,
        curves: Sequence[TrialCurves],
        known: Mapping[str, MetricGroup],
        scope: RunScope,
        singles: bool,
        state: RunsState | None,
    ) -> None:
        self._drawn = drawn
        self._curves = curves
        self._known = known
        self._scope = scope
        self._singles = singles
        self.groups: list[MetricGroup] = []
        self.points = PointPanels(scope, drawn, state)

    def panel(self, spec: PanelSpec) -> RunPanel:
        """The panel of a layout; where nothing is there to draw it keeps its place."""
        drawn = self._curves_of(spec) if spec.kind == "curves" else self.points.panel(spec)
        return RunPanel(
            id=f"figure-runs-{zlib.crc32(spec.what.encode()):08x}",
            title=drawn.title,
            plot=drawn.plot,
            label=f"{KINDS[spec.kind]}: {drawn.title}",
            shape="brush" if drawn.brushes else "",
            note=drawn.note,
            what=spec.what,
            width=spec.width,
            height=spec.height,
            empty=drawn.empty,
        )

    def _curves_of(self, spec: PanelSpec) -> Drawn:
        found = [self._group(key) for key in spec.keys]
        there = [group for group in found if group is not None]
        if not there:
            missing = ", ".join(spec.keys)
            return Drawn(missing, None, empty=f"No run drawn here logged {missing}.")
        group = there[0] if len(there) == 1 else _joined(there)
        plot = self._plot(group, first=not self.groups)
        self.groups.append(group)
        return Drawn(group.title, plot)

    def _group(self, key: str) -> MetricGroup | None:
        """The group of a key; of a metric's name that metric alone."""
        if key in self._known:
            return self._known[key]
        for group in self._known.values():
            if key in group.members:
                return MetricGroup(key, (key,), group.train & {key}, group.holds_official)
        return None

    def _plot(self, group: MetricGroup, *, first: bool) -> LearningCurves:
        lines, marks = lines_of(self._curves, group)
        means: list[Mean] = []
        drawn = self._drawn
        if drawn.banded:
            found = mean_curves(drawn.trials, self._scope.declared, group.members)
            means = [
                Mean(side, name, name in group.train, curve, *group.apart(name), drawn.members)
                for (side, name), curve in found.items()
            ]
            several = {mean.group for mean in means}
            # A group of one run has no mean: its curve stands for it.
            lines = [line for line in lines if self._singles or line.group not in several]
            lines = [_alone(line) if line.group not in several else line for line in lines]
        order = [trial.side or trial.id for trial in drawn.trials]
        # The table's swatches say which curve is whose; of few runs the first chart says it in
        # words, too: a longer legend would leave it no room.
        named = drawn.banded or len(drawn.trials) <= _MOST_IN_LEGEND
        return LearningCurves(
            lines,
            marks,
            means=means,
            y_title=group.title,
            order=order,
            legend=first and named,
            readout=True,  # above the chart, where it covers no curve
            margin={"t": 24 if first else 8, "b": 40},
        )


def _joined(groups: Sequence[MetricGroup]) -> MetricGroup:
    """Several groups in one chart."""
    return MetricGroup(
        key=", ".join(group.key for group in groups),
        members=tuple(dict.fromkeys(name for group in groups for name in group.members)),
        train=frozenset(name for group in groups for name in group.train),
    )


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
