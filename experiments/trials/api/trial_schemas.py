"""API schemas of trials and findings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Field, Schema

from experiments.web.api_schemas import Number, ParameterName, Plain, Strict, Text


class TryIn(Strict):
    """Scientific hyperparameters among the parameters choose the arm."""

    parameters: dict[ParameterName, bool | int | float | str | None] = Field(max_length=1000)
    arm: Text = Field(default="", description="letter of the arm; every arm that fits when empty")


class BudgetIn(Strict):
    per_arm: int = Field(description="to how many trials the sampler goes on in every arm")


class LimitsIn(Strict):
    """`gpu_hours` null: no cap of the experiment's own."""

    parallel: int | None = None
    priority: int | None = None
    gpu_hours: float | None = None
    per_arm: int | None = None


class GridIn(Strict):
    insist: bool = Field(default=False, description="also over more than two dimensions")


class TrialRowOut(Schema):
    """`score` is the latest value while the trial runs."""

    id: int
    name: str
    state: str
    arm: str
    parameters: Plain
    score: Number
    step: int | float | None
    seconds: Number
    origin: str
    failure: str
    started_at: datetime | None


class TrialsOut(Schema):
    trials: list[TrialRowOut]
    page: int
    pages: int
    total: int


class FileOut(Schema):
    """`size` in bytes; the bytes stand at `files/{id}` below the trial."""

    id: int
    kind: str
    name: str
    size: int
    step: int | float | None
    sha256: str


class FilesOut(Schema):
    files: list[FileOut]


class FindingOut(Schema):
    """A finding; `trial` is empty where it concerns the experiment."""

    id: int
    rule: str
    version: int
    subject: str
    status: str
    severity: str
    title: str
    detail: str
    meaning: str
    advice: str
    section: str
    action: str
    evidence: Plain
    trial: str
    found_at: datetime
    is_open: bool
    dismissed_by: str
    dismissed_at: datetime | None
    dismiss_reason: str
    is_muted: bool
    others: list[str]


class FindingsOut(Schema):
    summary: str
    findings: list[FindingOut]


class TrialOut(Schema):
    """A trial in full, without series and test scores."""

    id: int
    name: str
    state: str
    origin: str
    arm: str
    side: str
    pair: int | None
    score: Number
    score_step: int | float | None
    parameters: Plain
    configuration: Plain
    digest: str
    commit: str
    train_seed: int | None
    split_seed: int | None
    search_seed: int | None
    attempt: int
    worker: str
    device: str
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    seconds: Number
    peak_memory_mb: Number
    evaluations: int | None
    failure_kind: str
    failure_reason: str
    traceback: str
    log_tail: str
    environment: Plain
    retry_of: str
    reproduce: str
    files: list[FileOut]
    findings: list[FindingOut]


class SeriesOut(Schema):
    """Columns of equal length; numbers that are not finite are text."""

    steps: list[int | float]
    values: list[Annotated[Any, Plain]]


class TrialSeriesOut(Schema):
    trial: str
    series: dict[str, SeriesOut]


class QueuedOut(Schema):
    """Ids of the trials that were queued; they are the ids of /runs/{id}."""

    ids: list[int]


class AddedOut(Schema):
    added: int
