"""API schemas of champions, decisions and configurations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Field, Schema
from pydantic import SerializerFunctionWrapHandler, model_serializer

from experiments.design.objective_code import PackageCode
from experiments.trials.artifacts.queries.deployables import Checkpoint, StatedScore
from experiments.verdict.queries.noted_heads import Head
from experiments.web.api_schemas import answer, schema_of


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


class DecisionOut(Schema):
    """An entry of the log."""

    project: str
    target: str
    sequence: int
    choice: str
    verdict: str
    overrides_verdict: bool
    reason: str
    experiment: str | None
    candidate: ConfigurationOut | None
    candidate_digest: str | None
    baseline: ConfigurationOut | None
    baseline_digest: str | None
    decided_by: str
    decided_at: datetime
    previous_hash: str
    hash: str


class DecisionWithEvidenceOut(DecisionOut):
    evidence: dict[str, Any]


ChampionOut = answer(
    "DeployedChampion",
    "The configuration to deploy and the decision that made it so.",
    project=str,
    target=str,
    configuration=ConfigurationOut,
    digest=Annotated[str, Field(description="SHA-256 of the configuration in canonical JSON")],
    score=StatedScore | None,
    code=Annotated[
        list[schema_of(PackageCode)],  # type: ignore[misc]
        Field(description="Packages of its code and where they came from, as its runs recorded"),
    ],
    checkpoint=schema_of(
        Checkpoint,
        step=int | None,
        address=Annotated[str, Field(description="Where the bytes are read, with the same token")],
    )
    | None,
    decision=DecisionOut,
    head=Head,
)
DecisionsOut = answer("Decisions", decisions=[DecisionOut], total=int, head=Head)
