"""Proposed decisions that wait for a second approver, and confirmations in the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from experiments.errors import NotFound
from experiments.models import Proposal as Proposal
from experiments.models import Replication
from experiments.models.decision import ProposalState, override_words
from experiments.models.replication import Purpose
from experiments.team.queries.access import Access

PENDING, CONFIRMED = ProposalState.PENDING, ProposalState.CONFIRMED
MOST_LISTED = 50


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The second approver of a decision; times in ISO 8601. It is part of what is signed."""

    by: str
    reason: str
    proposed_at: str
    confirmed_at: str


@dataclass(frozen=True, slots=True)
class ProposalRow:
    """A proposed decision. `state` names the evidence that it rests on, `closed_because` says
    why it was withdrawn or expired, `candidate` which of several declared together, from 1;
    `replaced`: seeds that were asked for later stand in the place of those that it rests on."""

    id: int
    experiment: str
    replication: int
    candidate: int
    target: str
    choice: str
    verdict: str
    overrides_verdict: bool
    reason: str
    state: str
    proposed_by: str
    proposed_at: datetime
    outcome: str
    closed_by: str
    closed_at: datetime | None
    closed_because: str
    replaced: bool

    @property
    def override(self) -> str:
        """The override in words, empty for a proposal with the verdict."""
        return override_words(self.choice, self.verdict) if self.overrides_verdict else ""


def confirmation_of(evidence: Mapping[str, Any]) -> Confirmation | None:
    """The confirmation that was frozen into a decision; None for one that needed none."""
    found = evidence.get("confirmation")
    return Confirmation(**found) if isinstance(found, dict) else None


def find_proposal(access: Access, proposal_id: int) -> Proposal:
    """A proposal of a project.

    Raises:
        NotFound: when the project has no such proposal.
    """
    found = Proposal.objects.filter(project_id=access.project_id, pk=proposal_id).first()
    if found is None:
        raise NotFound(f"{access.slug} has no proposal {proposal_id}.")
    return found


def pending_on(replication_id: int) -> ProposalRow | None:
    """The proposal that waits for a second approver on a replication."""
    found = _rows().filter(replication=replication_id, outcome=PENDING).first()
    return _as_row(found) if found else None


def proposals_of(access: Access, *, pending: bool = True) -> tuple[ProposalRow, ...]:
    """A project's proposals: those that wait, oldest first, or all of them."""
    rows = _rows().filter(project_id=access.project_id)
    return tuple(
        _as_row(proposal) for proposal in (rows.filter(outcome=PENDING) if pending else rows)
    )


def listed_proposals(access: Access) -> tuple[ProposalRow, ...]:
    """Proposals of a project that are in no log: those that wait first, then the newest closed
    ones. One query.
    """
    rows = _rows().filter(project_id=access.project_id).exclude(outcome=CONFIRMED)
    waiting = Case(When(outcome=PENDING, then=0), default=1)
    return tuple(_as_row(proposal) for proposal in rows.order_by(waiting, "-pk")[:MOST_LISTED])


def pending_by_project(project_ids: Iterable[int]) -> dict[int, tuple[ProposalRow, ...]]:
    """Proposals that wait, by project, the oldest first. One query."""
    found: dict[int, list[ProposalRow]] = {}
    live = Q(replication__experiment__archived_at__isnull=True)
    for row in _rows().filter(live, project__in=project_ids, outcome=PENDING):
        found.setdefault(row.project_id, []).append(_as_row(row))
    return {project: tuple(rows) for project, rows in found.items()}


def read_proposal(proposal_id: int) -> ProposalRow:
    """The record of a proposal that there is."""
    return _as_row(_rows().get(pk=proposal_id))


def _as_row(proposal: Proposal) -> ProposalRow:
    return ProposalRow(
        id=proposal.pk,
        experiment=proposal.replication.experiment.name,
        replication=proposal.replication_id,
        candidate=vars(proposal)["candidate"],  # annotated
        target=proposal.target,
        choice=proposal.choice,
        verdict=proposal.verdict,
        overrides_verdict=proposal.overrides_verdict,
        reason=proposal.reason,
        state=proposal.state,
        proposed_by=proposal.proposed_by.get_username(),
        proposed_at=proposal.proposed_at,
        outcome=proposal.outcome,
        closed_by=proposal.closed_by.get_username() if proposal.closed_by else "",
        closed_at=proposal.closed_at,
        closed_because=proposal.closed_because,
        replaced=vars(proposal)["replaced"],  # annotated
    )


def _rows() -> QuerySet[Proposal]:
    first = Coalesce(OuterRef("replication__first_of_group"), OuterRef("replication"))
    upto = Replication.objects.filter(
        Q(pk=first) | Q(first_of_group=first), pk__lte=OuterRef("replication")
    )
    counted = upto.order_by().values(group=Value(1)).annotate(n=Count("pk")).values("n")
    newer = Replication.objects.filter(
        experiment=OuterRef("replication__experiment"),
        purpose=Purpose.VERDICT,
        pk__gt=OuterRef("replication"),
    ).exclude(Q(pk=first) | Q(first_of_group=first))
    rows = Proposal.objects.select_related("replication__experiment", "proposed_by", "closed_by")
    return rows.annotate(candidate=Subquery(counted), replaced=Exists(newer)).order_by("pk")
