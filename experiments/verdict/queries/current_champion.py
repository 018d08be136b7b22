"""The champion of a project: what the next candidate is compared with."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from experiments.design.queries.records import AnyExperiment
from experiments.models import Decision
from experiments.models.decision import CHAMPION_CHOICES


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """Scores of fresh seeds: mean and standard deviation (n - 1), None for too few finite ones."""

    mean: float | None
    deviation: float | None
    seeds: int


@dataclass(frozen=True, slots=True)
class Champion:
    """The adopted configuration, with the frozen scores of its fresh seeds."""

    sequence: int
    experiment: str
    choice: str
    decided_by: str
    decided_at: datetime
    digest: str
    scores: ScoreSummary
    by_hand: bool = False  # a baseline whose scores a person entered

    @property
    def score(self) -> float | None:
        """Mean of its fresh seeds when it was adopted."""
        return self.scores.mean


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
    experiment: AnyExperiment | None = decision.experiment
    evidence = json.loads(decision.evidence or "{}")
    return Champion(
        sequence=decision.sequence,
        experiment=experiment.name if experiment else "",
        choice=decision.choice,
        decided_by=decision.decided_by_name,
        decided_at=decision.decided_at,
        digest=decision.candidate.digest if decision.candidate else "",
        scores=candidate_scores(evidence),
        by_hand=bool(evidence.get("entered_by_hand")),
    )


def candidate_scores(evidence: Mapping[str, Any]) -> ScoreSummary:
    """Summary of the candidate's frozen replicates, those without a finite score left out."""
    runs = (evidence.get("replicates") or {}).get("candidate") or []
    scores = [run.get("score") for run in runs if isinstance(run, dict)]
    finite = [float(score) for score in scores if isinstance(score, int | float)]
    finite = [score for score in finite if math.isfinite(score)]
    return ScoreSummary(
        mean=statistics.fmean(finite) if finite else None,
        deviation=statistics.stdev(finite) if len(finite) > 1 else None,
        seeds=len(finite),
    )
