"""API schemas of projects and experiments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from ninja import Field, Schema
from pydantic import StringConstraints, model_validator

from experiments.analysis.time_left import TimeLeft
from experiments.design.queries.experiments import ArmRow
from experiments.design.review.design_review import Consideration
from experiments.errors import Problem
from experiments.web.api_schemas import Reason, Strict, Text, schema_of

LONGEST_FILE = 200_000


class FileIn(Strict):
    """An experiment file: as YAML in `text`, or as JSON in `file`."""

    text: Annotated[str, StringConstraints(max_length=LONGEST_FILE)] | None = None
    file: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one(self) -> FileIn:
        if (self.text is None) == (self.file is None):
            raise ValueError("expected the file either as text (YAML) or as file (JSON)")
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


class DismissIn(ReasonIn):
    all: bool = False


@dataclass(frozen=True, slots=True)
class ExperimentAnswer:
    """An experiment with its file; counts are of its searches, replicates left out."""

    project: str
    name: str
    goal: str
    notes: str
    tags: Sequence[str]
    config_link: str
    objective: str
    official_metric: str
    direction: str
    margin: float
    smallest_gain: float | None
    sampler: str
    state: str
    stop_reason: str
    has_failed: bool
    archived: bool
    extends: str | None
    budget: int
    trials: int
    complete: int
    pruned: int
    failed: int
    running: int
    waiting: int
    time_left: TimeLeft | None
    best_value: float | None
    best_trial: str
    arms: Sequence[ArmRow]
    reproduce: str
    author: str
    created_at: datetime
    finished_at: datetime | None
    file: str


ExperimentOut = schema_of(
    ExperimentAnswer, "Experiment", arms=[schema_of(ArmRow, without="study_id index")]
)


@dataclass(frozen=True, slots=True)
class Checked:
    """Errors of a file; its design, and the rules that fired on it, when there are none."""

    ok: bool
    error: str
    problems: Sequence[Problem]
    design: Sequence[str]
    considerations: Sequence[Consideration]


CheckedOut = schema_of(Checked, considerations=[schema_of(Consideration, "CheckOut")])


class DoneOut(Schema):
    """The state after it was done."""

    name: str
    state: str
