"""Experiments that await a decision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, Subquery

from experiments.models import Decision, Proposal, Replication, Trial
from experiments.models.decision import Choice, ProposalState
from experiments.models.replication import Purpose
from experiments.models.trial import FailureKind, Side, TrialState

_OPEN = Q(state__in=(TrialState.WAITING, TrialState.RUNNING))
_ACCIDENT = Q(state=TrialState.FAILED, retries__isnull=True) & ~Q(
    failure_kind=FailureKind.INFEASIBLE
)


@dataclass(frozen=True, slots=True)
class AwaitingDecision:
    """An experiment whose look of `pairs` seed pairs is complete; `since` its last run's end."""

    experiment: str
    pairs: int
    since: datetime | None


def awaiting_decision(project_ids: Iterable[int]) -> dict[int, tuple[AwaitingDecision, ...]]:
    """A project's experiments whose look is complete and undecided, the oldest first.

    Without those that somebody has proposed a decision on.

    One query, whatever the number of projects.
    """
    decided = Decision.objects.filter(replication=OuterRef("pk")).exclude(choice=Choice.CONTINUE)
    proposed = Proposal.objects.filter(replication=OuterRef("pk"), outcome=ProposalState.PENDING)
    runs = Trial.objects.filter(
        Q(study__replication=OuterRef("pk"))
        | Q(study__replication=OuterRef("first_of_group"), study__side=Side.BASELINE),
        pair__lt=OuterRef("pairs_queued"),
    )
    ended = runs.filter(finished_at__isnull=False).order_by("-finished_at")
    rows = (
        Replication.objects.filter(
            ~Exists(decided),
            ~Exists(proposed),
            ~Exists(runs.filter(_OPEN | _ACCIDENT)),
            experiment__project__in=project_ids,
            experiment__archived_at__isnull=True,
            purpose=Purpose.VERDICT,
        )
        .order_by("pk")
        .annotate(ended_at=Subquery(ended.values("finished_at")[:1]))
        .values_list("experiment__project", "experiment__name", "pairs_queued", "ended_at")
    )
    found: dict[int, dict[str, AwaitingDecision]] = {}
    for project, name, pairs, since in rows:
        found.setdefault(project, {}).setdefault(name, AwaitingDecision(name, pairs, since))
    return {project: tuple(waiting.values()) for project, waiting in found.items()}
