"""API schemas of projects and experiments."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Field, Schema
from pydantic import StringConstraints, model_validator

from experiments.design.queries.experiments import ArmRow
from experiments.errors import Problem
from experiments.web.api_schemas import Reason, Strict, Text, answer, schema_of

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


ExperimentOut = answer(
    "Experiment",
    "An experiment with its file; counts are of its searches, replicates left out.",
    project=str,
    name=str,
    goal=str,
    notes=str,
    tags=list[str],
    config_link=str,
    objective=str,
    official_metric=str,
    direction=str,
    margin=float,
    smallest_gain=float | None,
    sampler=str,
    state=str,
    stop_reason=str,
    has_failed=bool,
    archived=bool,
    extends=str | None,
    budget=int,
    trials=int,
    complete=int,
    pruned=int,
    failed=int,
    running=int,
    waiting=int,
    best_value=float | None,
    best_trial=str,
    arms=[schema_of(ArmRow, without="study_id index")],
    reproduce=str,
    author=str,
    created_at=datetime,
    finished_at=datetime | None,
    file=str,
)


class CheckOut(Schema):
    rule: str
    severity: str
    where: str
    title: str


CheckedOut = answer(
    "Checked",
    "What is wrong with a file; what it would run when nothing is.",
    ok=bool,
    error=str,
    problems=[Problem],
    design=list[str],
    considerations=[CheckOut],
)


class DoneOut(Schema):
    """The state after it was done."""

    name: str
    state: str
