"""API schemas of runs from outside."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import AfterValidator, StringConstraints

from experiments.design.document.experiment_file import NAME, experiment_name
from experiments.errors import Problem
from experiments.web.api_schemas import ParameterName, ReplicationId, Short, Strict

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$"), AfterValidator(experiment_name)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=60, strip_whitespace=True)]
Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{0,64}$")]

Parameters = Annotated[
    dict[ParameterName, bool | int | float | str | None], Field(max_length=1000)
]


class RunIn(Strict):
    """A run that begins."""

    project: Short
    experiment: Name
    name: Annotated[str, StringConstraints(max_length=500)] = Field(
        default="", description="name of the run on pages, beside its number"
    )
    params: Parameters = Field(default_factory=dict)
    train_seed: Seed | None = None
    split_seed: Seed | None = None
    search_seed: Seed | None = None
    metrics: dict[ParameterName, dict[str, Any] | None] = Field(
        default_factory=dict,
        max_length=1000,
        description="split, kind, direction and resolution by name, as in an experiment file",
    )
    goal: Annotated[str, StringConstraints(max_length=2000)] = ""
    notes: Annotated[str, StringConstraints(max_length=100_000)] = ""
    config_link: Annotated[str, StringConstraints(max_length=1000)] = Field(
        default="", pattern=r"^(https?://\S+)?$"
    )
    tags: list[Tag] = Field(default_factory=list, max_length=50)
    commit: Annotated[str, StringConstraints(max_length=64)] = ""
    data: dict[Short, Short] = Field(default_factory=dict, max_length=50)
    key: Key = Field(default="", description="a second request with the same key makes no run")
    replication: ReplicationId = Field(
        default=None,
        description="makes the run a replicate of that declared replication; what has no place "
        "there (metrics, goal, notes, tags, commit, data, config_link, search_seed) is refused",
    )
    side: Literal["candidate", "baseline"] | None = None
    pair: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="which replicate, from 1; without it the next open one"
    )


class PointsIn(Strict):
    """Log calls. `batch` counts from 0; the same number again changes nothing."""

    batch: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    points: list[Any] = Field(default_factory=list)


class Points(Schema):
    """`stored` is false for a batch that was there already, `late` true for one that came when
    the run had ended: it is kept, but not drawn.
    """

    stored: bool
    late: bool
    points: int
    stop: bool
    skipped: list[Problem]


class ParamsIn(Strict):
    """Parameters that are known only after a run's start."""

    params: Parameters


class FinishIn(Strict):
    state: Literal["complete", "pruned", "failed", "terminated"] = Field(
        default="complete",
        description="terminated: the program was ended from outside; stored as failed",
    )
    value: float | None = Field(default=None, allow_inf_nan=False)
    reason: Annotated[str, StringConstraints(max_length=10_000)] = ""
    summary: Parameters = Field(default_factory=dict, description="summary values of the run")
    read_split_seed: bool | None = Field(
        default=None,
        description="of a replicate: whether the data was split by the seed that was handed out",
    )


class CreatedOut(Schema):
    id: int
    number: int
    experiment: str
    official_metric: str
    direction: str
    params: dict[str, Any] | None = Field(
        default=None, description="of a replicate: what was declared and has to be trained"
    )
    side: str | None = None
    pair: int | None = None
    train_seed: int | None = None
    split_seed: int | None = None
