"""Experiments that await a decision."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q

from experiments.models import Decision, Replication, Trial
from experiments.models.decision import Choice
from experiments.models.replication import Purpose
from experiments.models.trial import FailureKind, Side, TrialState

_OPEN = Q(state__in=(TrialState.WAITING, TrialState.RUNNING))
_ACCIDENT = Q(state=TrialState.FAILED, retries__isnull=True) & ~Q(
    failure_kind=FailureKind.INFEASIBLE
)


def awaiting_decision(project_ids: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """Names of a project's experiments whose look is complete and undecided, the oldest first.

    One query, whatever the number of projects.
    """
    decided = Decision.objects.filter(replication=OuterRef("pk")).exclude(choice=Choice.CONTINUE)
    unfinished = Trial.objects.filter(
        Q(study__replication=OuterRef("pk"))
        | Q(study__replication=OuterRef("first_of_group"), study__side=Side.BASELINE),
        _OPEN | _ACCIDENT,
        pair__lt=OuterRef("pairs_queued"),
    )
    rows = (
        Replication.objects.filter(
            ~Exists(decided),
            ~Exists(unfinished),
            experiment__project__in=project_ids,
            experiment__archived_at__isnull=True,
            purpose=Purpose.VERDICT,
        )
        .order_by("pk")
        .values_list("experiment__project", "experiment__name")
    )
    found: dict[int, dict[str, None]] = {}
    for project, name in rows:
        found.setdefault(project, {})[name] = None
    return {project: tuple(names) for project, names in found.items()}
