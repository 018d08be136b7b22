"""Content of one tab of an experiment's charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from experiments.charts.learning_curves import LearningCurves
from experiments.charts.theme import Figure, Plot
from experiments.trials.findings.queries.findings import FindingRow
from experiments.trials.panels.metric_groups import MetricGroup


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot with its place on the page."""

    id: str
    title: str
    plot: Plot | None  # None where there is nothing to draw
    label: str
    shape: str = ""
    note: str = ""
    findings: Sequence[FindingRow] = ()  # that speak of what it shows

    @property
    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        return self.plot.figure() if self.plot else {}


ChartT = TypeVar("ChartT", bound=Chart)


def with_legend(chart: ChartT, shown: bool) -> ChartT:
    """The chart with or without the legend of its learning curves."""
    if not isinstance(chart.plot, LearningCurves):
        return chart
    return replace(chart, plot=replace(chart.plot, legend=shown))


@dataclass(frozen=True, slots=True)
class Choice:
    """A field above the charts: `name` in the address, what can be chosen, what is."""

    name: str
    label: str
    values: Sequence[str]
    chosen: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One tab: its charts, what they leave out, and what the script needs to continue them."""

    tab: str
    charts: Sequence[Chart] = ()
    note: str = ""
    empty: str = ""
    groups: Sequence[MetricGroup] = ()
    group: str = ""
    log_y: bool = False
    cursor: str = ""
    picked: str = ""
    findings: Sequence[FindingRow] = ()  # that speak of all its charts
    choices: Sequence[Choice] = ()
