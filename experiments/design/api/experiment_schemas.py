"""API schemas of projects and experiments."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Field, Schema
from pydantic import StringConstraints, model_validator

from experiments.web.api_schemas import Number, Plain, ProblemOut, Reason, Strict, Text

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


class ProjectIn(Strict):
    slug: Text
    name: Text
    official_metric: Text
    direction: str = Field(default="maximize", description="minimize or maximize")
    margin: float = 0.0
    smallest_gain: float | None = None


class StandingOut(Schema):
    """The champion for production; `score` is the mean of its fresh seeds."""

    sequence: int
    experiment: str
    choice: str
    decided_by: str
    decided_at: datetime
    digest: str
    score: Number
    by_hand: bool


class ProjectRowOut(Schema):
    slug: str
    name: str
    official_metric: str
    direction: str
    experiments: int
    running: int
    active_at: datetime | None
    champion: StandingOut | None


class ProjectsOut(Schema):
    projects: list[ProjectRowOut]


class ProjectOut(Schema):
    """`role` is that of the token's owner."""

    slug: str
    name: str
    official_metric: str
    direction: str
    margin: float
    smallest_gain: float | None
    role: str
    targets: list[str]
    champion: StandingOut | None


class ChangeOut(Schema):
    name: str
    before: Plain = None
    after: Plain = None


class ReignOut(Schema):
    """A configuration that became champion, with its gain over the one before it."""

    sequence: int
    choice: str
    experiment: str
    digest: str
    gain: Number
    lower: Number
    upper: Number
    changes: list[ChangeOut]
    reverts_to: int | None
    overrides_verdict: bool
    reason: str
    decided_by: str
    decided_at: datetime
    stands: bool


class TargetOut(Schema):
    """Newest first; `standing` is the decision whose champion stands."""

    target: str
    standing: int | None
    reigns: list[ReignOut]


class ChampionsOut(Schema):
    targets: list[TargetOut]


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
