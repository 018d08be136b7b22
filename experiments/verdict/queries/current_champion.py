"""The champion of a project: what the next candidate is compared with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from experiments.models import Decision, Experiment
from experiments.models.decision import CHAMPION_CHOICES


@dataclass(frozen=True, slots=True)
class Champion:
    """The adopted configuration; `score` is the mean of its fresh seeds when it was adopted."""

    sequence: int
    experiment: str
    choice: str
    decided_by: str
    decided_at: datetime
    digest: str
    score: float | None
    by_hand: bool = False  # a baseline whose scores a person entered


def champion_of(project_id: int) -> Champion | None:
    """The project's champion for production, None before the first adopt."""
    newest = champions_made().filter(project_id=project_id).first()
    return as_champion(newest) if newest else None


def champions_made() -> QuerySet[Decision]:
    """Decisions that made a champion of production, newest first."""
    return (
        Decision.objects.filter(target="production", choice__in=CHAMPION_CHOICES)
        .select_related("experiment", "candidate")
        .order_by("-sequence")
    )


def as_champion(decision: Decision) -> Champion:
    """The champion that a decision made."""
    experiment: Experiment | None = decision.experiment
    return Champion(
        sequence=decision.sequence,
        experiment=experiment.name if experiment else "",
        choice=decision.choice,
        decided_by=decision.decided_by_name,
        decided_at=decision.decided_at,
        digest=decision.candidate.digest if decision.candidate else "",
        score=_fresh_mean(decision),
        by_hand=bool(json.loads(decision.evidence or "{}").get("entered_by_hand")),
    )


def _fresh_mean(decision: Decision) -> float | None:
    """Mean score of the candidate's frozen replicates, those without a finite score left out."""
    evidence = json.loads(decision.evidence or "{}")
    runs = (evidence.get("replicates") or {}).get("candidate") or []
    scores = [run.get("score") for run in runs if isinstance(run, dict)]
    finite = [float(score) for score in scores if isinstance(score, int | float)]
    return sum(finite) / len(finite) if finite else None
