"""API schemas of champions, decisions and configurations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Field, Schema

from experiments.trials.artifacts.queries.deployables import Checkpoint, StatedScore
from experiments.verdict.queries.noted_heads import Head
from experiments.web.api_schemas import answer, schema_of


class ConfigurationOut(Schema):
    """Configuration that runs: training function, all parameters, commit of the code, data."""

    objective: str
    parameters: dict[str, Any]
    commit: str
    data: dict[str, str]


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
