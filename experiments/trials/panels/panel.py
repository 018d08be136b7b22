"""Content of one tab of an experiment's charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.charts.theme import Figure
from experiments.trials.findings.queries.findings import FindingRow
from experiments.trials.panels.metric_groups import MetricGroup


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with its place on the page."""

    id: str
    title: str
    figure: Figure
    label: str
    shape: str = ""
    note: str = ""
    findings: Sequence[FindingRow] = ()  # that speak of what it shows


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
