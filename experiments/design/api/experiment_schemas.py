"""API schemas of projects and experiments."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Field, Schema
from pydantic import StringConstraints, model_validator

from experiments.web.api_schemas import Number, ProblemOut, Reason, Strict, Text

LONGEST_FILE = 200_000


class FileIn(Strict):
    """An experiment file: as YAML in `text`, or as JSON in `file`."""

    text: Annotated[str, StringConstraints(max_length=LONGEST_FILE)] | None = None
    file: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one(self) -> FileIn:
        if (self.text is None) == (self.file is None):
            raise ValueError("want the file either as text (YAML) or as file (JSON)")
        return self


class NotesIn(Strict):
    """Notes and tags; a field that is left out stays as it is."""

    notes: Annotated[str, StringConstraints(max_length=100_000)] | None = None
    tags: list[Text] | None = Field(default=None, max_length=100)


class NameIn(Strict):
    name: Text


class StopIn(Strict):
    reason: Text = ""


class MutedIn(Strict):
    muted: bool = True


class ReasonIn(Strict):
    reason: Reason


class ExperimentRowOut(Schema):
    name: str
    goal: str
    state: str
    budget: int
    complete: int
    pruned: int
    failed: int
    running: int
    best_value: Number
    warnings: int
    decision: str
    decision_sequence: int | None
    author: str
    active_at: datetime
    tags: list[str]


class ExperimentsOut(Schema):
    experiments: list[ExperimentRowOut]
    page: int
    pages: int
    total: int


class ArmOut(Schema):
    letter: str
    label: str
    budget: int | None
    trials: int
    stopped: str


class ExperimentOut(Schema):
    """An experiment with its file; counts are of its searches, replicates left out."""

    project: str
    name: str
    goal: str
    notes: str
    tags: list[str]
    config_link: str
    objective: str
    official_metric: str
    direction: str
    margin: float
    smallest_gain: float | None
    sampler: str
    state: str
    stop_reason: str
    archived: bool
    extends: str | None
    budget: int
    trials: int
    complete: int
    pruned: int
    failed: int
    running: int
    waiting: int
    best_value: Number
    best_trial: str
    arms: list[ArmOut]
    reproduce: str
    author: str
    created_at: datetime
    finished_at: datetime | None
    file: str


class CheckOut(Schema):
    rule: str
    severity: str
    where: str
    title: str


class CheckedOut(Schema):
    """Result of checking a file: its problems, or what it would run when there are none."""

    ok: bool
    error: str
    problems: list[ProblemOut]
    design: list[str]
    considerations: list[CheckOut]


class FollowUpOut(Schema):
    """`text` is the proposed file, empty where it is refused; nothing was created."""

    kind: str
    name: str
    text: str
    differences: list[str]
    why: str
    refused: str


class FollowUpsOut(Schema):
    follow_ups: list[FollowUpOut]


class DoneOut(Schema):
    """The state after it was done."""

    name: str
    state: str
