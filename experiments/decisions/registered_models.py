"""Registered models of a project's targets, and the version that a decision made champion."""

from __future__ import annotations

import json
from dataclasses import dataclass

from experiments.models import Decision
from experiments.models.decision import CHAMPION_CHOICES

CHAMPION = "champion"  # the alias that only decisions move
MODEL = "model"  # key of a decision's evidence


@dataclass(frozen=True, slots=True)
class AdoptedVersion:
    """Version of a registered model behind a champion, as its decision froze it.

    `uri` is how MLflow's clients load it; `sha256` is over the names and checksums of its files,
    which lie in `folder` of the trial.
    """

    name: str
    version: int
    uri: str
    trial: int
    folder: str
    files: int
    bytes: int
    sha256: str


def registered_name(slug: str, target: str) -> str:
    """Name of a target's registered model: the project's, for production."""
    return slug if target == "production" else f"{slug}.{target}"


def target_of(slug: str, name: str) -> str:
    """Target whose registered model has that name; "" for any other name."""
    if name == slug:
        return "production"
    return name.removeprefix(f"{slug}.") if name.startswith(f"{slug}.") else ""


def adopted_version(decision: Decision) -> AdoptedVersion | None:
    """The version that a decision made, or that its revert went back to; None without one."""
    if decision.choice not in CHAMPION_CHOICES or f'"{MODEL}": {{' not in decision.evidence:
        return None
    found = json.loads(decision.evidence).get(MODEL)
    known = isinstance(found, dict) and found.keys() == AdoptedVersion.__annotations__.keys()
    return AdoptedVersion(**found) if known else None
