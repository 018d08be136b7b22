"""API schemas of champions, decisions and configurations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ninja import Field, Schema


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


class HeadOut(Schema):
    """How long the log is and how it ends: keep it, and no tail can be cut off unseen."""

    count: int
    hash: str


class CheckpointOut(Schema):
    """The file to deploy. Its checksum was frozen into the signed decision that adopted it."""

    trial: int
    step: int | None
    address: str = Field(description="Where the bytes are read, with the same token")
    sha256: str
    bytes: int


class ScoreOut(Schema):
    """Mean of `n` fresh seeds when it was decided: the checkpoint itself is one of them."""

    mean: float
    n: int
    metric: str


class ChampionOut(Schema):
    """The configuration to deploy and the decision that made it so."""

    project: str
    target: str
    configuration: ConfigurationOut
    digest: str = Field(description="SHA-256 of the configuration in canonical JSON")
    score: ScoreOut | None
    checkpoint: CheckpointOut | None = Field(
        description="null where the training keeps no checkpoints"
    )
    decision: DecisionOut
    head: HeadOut


class DecisionsOut(Schema):
    decisions: list[DecisionOut]
    total: int
    head: HeadOut
