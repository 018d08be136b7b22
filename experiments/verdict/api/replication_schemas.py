"""API schemas of replications, decisions and baselines."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import AliasChoices

from experiments.analysis.seeds.guards import Bound
from experiments.design.api.experiment_schemas import LONGEST_FILE
from experiments.web.api_schemas import (
    ParameterName,
    Plain,
    Reason,
    ReplicationId,
    Short,
    Strict,
    Text,
)

Count = Annotated[int, Field(ge=0, le=1000)]


class GuardIn(Strict):
    """A limit on another metric of the candidate, or on its rise or fall over the baseline's."""

    metric: Text
    bound: Bound
    value: float = Field(allow_inf_nan=False)


class ReplicationIn(Strict):
    """Trials by name. `baseline` only while the project has no champion."""

    candidate: Text
    further: list[Text] = Field(default_factory=list, max_length=20)
    baseline: Text = ""
    looks: list[Count] = Field(default=[10, 20, 30], max_length=100)
    margin: float | None = None
    score_rule: Text = "tail_median"
    guards: list[GuardIn] = Field(default_factory=list, max_length=100)


class PairsIn(Strict):
    pairs: int = Field(ge=1, le=1000)


class MeasureIn(Strict):
    purpose: Literal["training_seed", "split_seed", "search_seed"]
    runs: Count | None = None
    replication: ReplicationId = None


class EvidenceOut(Schema):
    """`outcome`: adopt, reject, undecided, or empty while a look is not complete; `waiting` says
    what it waits for. Send `state` back with a decision: it names this very evidence.
    """

    id: int
    outcome: str
    waiting: str
    state: str
    evidence: Plain


class DecisionIn(Strict):
    """`state` as the evidence told it; needless for a search dropped without seeds.

    `override`: decide against the verdict (adopt one that is undecided or reject, reject one that
    is adopt); the log says so.
    """

    choice: Text = Field(description="adopt, reject, continue or dropped without seeds")
    reason: Reason
    target: Text = "production"
    replication: ReplicationId = None
    state: Text = ""
    override: bool = False
    checkpoint: Annotated[int, Field(ge=1, lt=2**63)] | None = Field(
        default=None, description="id of the candidate's replicate whose checkpoint is deployed"
    )


class RevertIn(Strict):
    """`to`: the decision whose champion returns; `current`: whose champion stands now."""

    target: Text = "production"
    to: Annotated[int, Field(ge=0, lt=2**31)]
    current: Annotated[
        int, Field(ge=0, lt=2**31, validation_alias=AliasChoices("current", "standing"))
    ]
    reason: Reason


class BaselineIn(Strict):
    """An experiment file in which nothing is searched."""

    text: Annotated[str, Field(max_length=LONGEST_FILE)]
    seeds: int = 10


class KnownBaselineIn(Strict):
    """A model from before, one score for each seed."""

    objective: Annotated[str, Field(max_length=300)]
    parameters: dict[ParameterName, bool | int | float | str | None] = Field(max_length=1000)
    scores: list[float] = Field(max_length=1000)
    source: Annotated[str, Field(max_length=1000)]
    reason: Reason
    commit: Annotated[str, Field(max_length=64)] = ""
    data: dict[Short, Short] = Field(default_factory=dict, max_length=50)
    chance: float | None = None


class BaselineOut(Schema):
    """The baseline that ran last; `experiment` is empty before the first."""

    experiment: str
    replication: int | None
    pairs_queued: int
    evidence: Any
