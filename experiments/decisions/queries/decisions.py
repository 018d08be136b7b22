"""The decision log as pages read it: only what was frozen, never what has become of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from experiments.decisions.queries.proposals import Confirmation, confirmation_of
from experiments.models import Configuration, Decision
from experiments.models.decision import Choice
from experiments.team.queries.access import Access
from experiments.verdict.queries.chain_check import own_problems
from experiments.web.pagination import Page, PageOf, paged

CHOICES: tuple[str, ...] = tuple(Choice.values)


@dataclass(frozen=True, slots=True)
class DecisionRow:
    sequence: int
    choice: str
    target: str
    experiment: str
    verdict: str
    override: str
    reason: str
    decided_by: str
    decided_at: datetime
    gain: float | None
    confirmation: Confirmation | None


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision in full; `evidence` is what was known when the button was pressed."""

    sequence: int
    choice: str
    target: str
    experiment: str
    replication_id: int | None
    verdict: str
    override: str
    reason: str
    decided_by: str
    decided_at: datetime
    confirmation: Confirmation | None
    evidence: dict[str, Any]
    candidate: dict[str, Any]
    baseline: dict[str, Any]
    candidate_digest: str
    baseline_digest: str
    previous_hash: str
    hash: str
    previous: int | None
    following: int | None
    problems: tuple[str, ...]  # what is wrong with the entry itself


def list_decisions(
    access: Access, *, choice: str = "", target: str = "", text: str = "", page: int = 1
) -> Page[DecisionRow]:
    """A page of a project's log, newest first."""
    rows = Decision.objects.filter(project_id=access.project_id)
    if target:
        rows = rows.filter(target=target)
    matched = matching(rows, choice=choice, text=text)
    return paged(matched.select_related("experiment").order_by("-sequence"), PageOf(page), _row)


def matching(rows: QuerySet[Decision], *, choice: str, text: str) -> QuerySet[Decision]:
    """Those of one choice (of any, where there is no such choice) that speak of a text."""
    if choice in CHOICES:
        rows = rows.filter(choice=choice)
    if text:
        rows = rows.filter(
            Q(reason__icontains=text)
            | Q(experiment__name__icontains=text)
            | Q(decided_by_name__icontains=text)
        )
    return rows


def find_decision(access: Access, sequence: int) -> DecisionRecord | None:
    """One decision of a project by its place in the log."""
    log = Decision.objects.filter(project_id=access.project_id)
    row = (
        log.select_related("experiment", "candidate", "baseline").filter(sequence=sequence).first()
    )
    if row is None:
        return None
    neighbours = set(
        log.filter(sequence__in=(sequence - 1, sequence + 1)).values_list("sequence", flat=True)
    )
    evidence = json.loads(row.evidence or "{}")
    return DecisionRecord(
        sequence=row.sequence,
        choice=row.choice,
        target=row.target,
        experiment=row.experiment.name if row.experiment else "",
        replication_id=row.replication_id,
        verdict=row.verdict,
        override=row.override,
        reason=row.reason,
        decided_by=row.decided_by_name,
        decided_at=row.decided_at,
        confirmation=confirmation_of(evidence),
        evidence=evidence if isinstance(evidence, dict) else {},
        candidate=_document(row.candidate),
        baseline=_document(row.baseline),
        candidate_digest=row.candidate.digest if row.candidate else "",
        baseline_digest=row.baseline.digest if row.baseline else "",
        previous_hash=row.previous_hash,
        hash=row.hash,
        previous=sequence - 1 if sequence - 1 in neighbours else None,
        following=sequence + 1 if sequence + 1 in neighbours else None,
        problems=tuple(own_problems(row)),
    )


def _row(decision: Decision) -> DecisionRow:
    evidence = json.loads(decision.evidence or "{}")
    verdict = (evidence.get("verdict") if isinstance(evidence, dict) else None) or {}
    gain = verdict.get("gain")
    return DecisionRow(
        sequence=decision.sequence,
        choice=decision.choice,
        target=decision.target,
        experiment=decision.experiment.name if decision.experiment else "",
        verdict=decision.verdict,
        override=decision.override,
        reason=decision.reason,
        decided_by=decision.decided_by_name,
        decided_at=decision.decided_at,
        gain=gain if isinstance(gain, int | float) else None,
        confirmation=confirmation_of(evidence),
    )


def _document(configuration: Configuration | None) -> dict[str, Any]:
    if configuration is None:
        return {}
    found = json.loads(configuration.document)
    return found if isinstance(found, dict) else {}


def every_decision(access: Access) -> list[DecisionRow]:
    """The whole log of a project, oldest first."""
    rows = Decision.objects.filter(project_id=access.project_id).select_related("experiment")
    return [_row(row) for row in rows.order_by("sequence")]
