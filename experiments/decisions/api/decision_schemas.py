"""API schemas of champions, decisions and configurations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from ninja import Field, Schema
from pydantic import AliasChoices, SerializerFunctionWrapHandler, model_serializer

from experiments.decisions.queries.champion import DecisionDocument, DecisionWithEvidence
from experiments.decisions.queries.proposals import Confirmation, ProposalRow
from experiments.decisions.registered_models import AdoptedVersion
from experiments.design.api.experiment_schemas import LONGEST_FILE
from experiments.design.objective_code import PackageCode
from experiments.trials.artifacts.queries.deployables import Checkpoint, StatedScore
from experiments.verdict.queries.noted_heads import Head
from experiments.web.api_schemas import (
    ParameterName,
    Reason,
    ReplicationId,
    Short,
    Strict,
    Text,
    answer,
    schema_of,
)


class ConfigurationOut(Schema):
    """Configuration that runs: training function, all parameters, digest of its code (of a
    command the commit), data. Without `code` where that is not known, so that the digest in
    canonical JSON is the recorded one.
    """

    objective: str
    parameters: dict[str, Any]
    code: str | None = None
    commit: str
    data: dict[str, str]

    @model_serializer(mode="wrap")
    def _as_recorded(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = serialize(self)
        if found.get("code") is None:
            found.pop("code", None)
        return found


_RECORDED: dict[str, Any] = {
    "candidate": ConfigurationOut | None,
    "baseline": ConfigurationOut | None,
    "model": AdoptedVersion | None,
    "decided_at": datetime,
    "confirmation": schema_of(
        Confirmation, "ConfirmationOut", proposed_at=datetime, confirmed_at=datetime
    )
    | None,
}
DecisionOut = schema_of(DecisionDocument, "DecisionOut", **_RECORDED)
DecisionWithEvidenceOut = schema_of(
    DecisionWithEvidence, "DecisionWithEvidenceOut", **_RECORDED, evidence=dict[str, Any]
)


@dataclass(frozen=True, slots=True)
class DeployedCheckpoint(Checkpoint):
    """A checkpoint and the address where its bytes are read, with the same token."""

    address: str


@dataclass(frozen=True, slots=True)
class DeployedChampion:
    """The configuration to deploy and the decision that made it so."""

    project: str
    target: str
    configuration: dict[str, Any]
    digest: str
    score: StatedScore | None
    code: Sequence[PackageCode]
    checkpoint: DeployedCheckpoint | None
    decision: DecisionDocument
    head: Head


ChampionOut = schema_of(
    DeployedChampion,
    configuration=ConfigurationOut,
    digest=Annotated[str, Field(description="SHA-256 of the configuration in canonical JSON")],
    code=Annotated[
        list[schema_of(PackageCode)],  # type: ignore[misc]
        Field(description="Packages of its code and where they came from, as its runs recorded"),
    ],
    checkpoint=schema_of(DeployedCheckpoint, "Checkpoint", step=int | None) | None,
    decision=DecisionOut,
)
DecisionsOut = answer("Decisions", decisions=[DecisionOut], total=int, head=Head)


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


class WithdrawalIn(Strict):
    reason: Text = ""


ProposalOut = schema_of(ProposalRow, "ProposedDecision", also="override")


class SharedLinkIn(Strict):
    """An experiment by its name, a decision by its number, or a frozen report by its id."""

    experiment: Text = ""
    decision: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    frozen_report: Annotated[int, Field(ge=0, lt=2**31)] | None = None


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
