"""API schemas of replications."""

from __future__ import annotations

from typing import Annotated, Literal

from ninja import Field, Schema

from experiments.analysis.seeds.guards import Bound
from experiments.web.api_schemas import (
    Plain,
    ReplicationId,
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
    """Trials by name. `baseline` only while the project has no champion.

    `retrospective`: compare the ended runs of the candidate's and the baseline's configurations
    instead; nothing is declared, and every sentence says so. With `tags` the two are tags,
    `NAME=VALUE`, and all ended runs that carry them are compared.
    """

    candidate: Text
    further: list[Text] = Field(default_factory=list, max_length=20)
    baseline: Text = ""
    looks: list[Count] = Field(default=[10, 20, 30], max_length=100)
    margin: float | None = None
    score_rule: Text = "tail_median"
    guards: list[GuardIn] = Field(default_factory=list, max_length=100)
    retrospective: bool = False
    tags: bool = False


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
