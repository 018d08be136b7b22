"""API schemas of charts, comparisons, schedules and the checklist."""

from __future__ import annotations

from typing import Any

from ninja import Field, Schema

from experiments.web.api_schemas import Plain


class ChartOut(Schema):
    """`figure` is a Plotly figure: `data` and `layout`. Its colours are variables such as
    `var(--accent)`, for whoever draws it to replace."""

    id: str
    title: str
    label: str = Field(description="what it shows, for who cannot see it")
    note: str
    figure: dict[str, Any]


class ChoiceOut(Schema):
    """Choices of a query; `name` is its field."""

    name: str
    label: str
    values: list[str]
    chosen: str


class PanelOut(Schema):
    """The charts of one tab; `empty` says why there are none. `metric` is one of `metrics`."""

    tab: str
    tabs: list[str]
    note: str
    empty: str
    metric: str
    metrics: list[str]
    choices: list[ChoiceOut]
    charts: list[ChartOut]


class FiguresOut(Schema):
    charts: list[ChartOut]


class BesideOut(Schema):
    """A hyperparameter in both searches; `difference` is empty where they agree."""

    name: str
    first: str
    second: str
    difference: str


class CautionOut(Schema):
    """Why comparing misleads; `grave` when scores do not compare at all."""

    title: str
    detail: str
    grave: bool


class ComparisonOut(Schema):
    summary: str
    same: int
    cautions: list[CautionOut]
    space: list[BesideOut]
    charts: list[ChartOut]


class PlanningOut(Schema):
    """Power of a schedule at 80 %, from the project's earlier replicates."""

    looks: list[int]
    candidates: int
    words: str
    spread: Plain
    detectable: Plain
    needed: Plain
    prospect: Plain


class CheckRowOut(Schema):
    question: str
    state: str
    words: str
    reasons: list[str]


class ChecklistOut(Schema):
    """The playbook's questions in its order."""

    summary: str
    questions: list[CheckRowOut]
