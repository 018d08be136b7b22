"""Deciding: it makes champions, so the token needs the scope decide, its owner the role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urljoin

from django.conf import settings
from django.urls import reverse
from ninja import Router, Status

from experiments.decisions.api.decision_schemas import (
    DecisionIn,
    DecisionOut,
    ProposalOut,
    RevertIn,
    SharedLinkIn,
    WithdrawalIn,
)
from experiments.decisions.queries import champion, proposals, shared_links
from experiments.decisions.queries.baselines import newest_baseline
from experiments.decisions.queries.champion import DecisionDocument
from experiments.decisions.queries.proposals import Proposal, ProposalRow
from experiments.decisions.queries.shared_links import SharedLinkRow
from experiments.decisions.services import baselines, champions, reviews, sharing
from experiments.design.api.experiment_schemas import ReasonIn
from experiments.design.queries.experiments import get_experiment
from experiments.errors import NotFound
from experiments.team.api import auth
from experiments.verdict.queries.replication_state import get_replication, replication_state
from experiments.web import api_bodies
from experiments.web.api_schemas import answer, joined, schema_of
from experiments.web.requests import TokenRequest

router = Router(tags=["decisions"])
_DECIDED = {201: DecisionOut, **auth.WRITE_ERRORS}
_PROPOSED = {202: ProposalOut, **_DECIDED}


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLinkMade(SharedLinkRow):
    """A link with its address, which no other answer tells."""

    address: str


@router.post(
    "/{slug}/experiments/{name}/decisions",
    response=_PROPOSED,
    openapi_extra=api_bodies.described(DecisionIn),
)
def record_decision(
    request: TokenRequest, slug: str, name: str
) -> Status[ProposalRow] | Status[DecisionDocument]:
    """Write a decision with its evidence frozen; evidence that changed since is refused.

    Where the project wants a second approver for it, it is proposed instead (202).

    `replication` is the newest one's first undecided candidate unless it is told.
    """
    access = auth.deciding(request, slug)
    experiment = get_experiment(access, name)
    asked = api_bodies.read(request, DecisionIn)
    newest = replication_state(experiment.pk)
    number = asked.replication or (newest.id if newest else None)
    replication = get_replication(access, experiment, number) if number else None
    made = reviews.decide(
        access=access,
        experiment=experiment,
        choice=asked.choice,
        reason=asked.reason,
        replication=replication,
        state=asked.state,
        override=asked.override,
        target=asked.target,
        checkpoint=asked.checkpoint,
    )
    if isinstance(made, Proposal):
        return Status(202, proposals.read_proposal(made.pk))
    return Status(201, champion.as_document(made))


@router.get(
    "/{slug}/proposals",
    response={200: answer("Proposals", proposals=[ProposalOut]), **auth.READ_ERRORS},
)
def list_proposals(
    request: TokenRequest, slug: str, pending: bool = True
) -> dict[str, tuple[ProposalRow, ...]]:
    """Decisions that wait for a second approver, oldest first; all of them with pending=false."""
    return {"proposals": proposals.proposals_of(auth.reading(request, slug), pending=pending)}


@router.post(
    "/{slug}/proposals/{int:proposal}/confirm",
    response=_DECIDED,
    openapi_extra=api_bodies.described(ReasonIn),
)
def confirm_proposal(request: TokenRequest, slug: str, proposal: int) -> Status[DecisionDocument]:
    """Record what another approver proposed, with both reasons."""
    access = auth.deciding(request, slug)
    found = proposals.find_proposal(access, proposal)
    reason = api_bodies.read(request, ReasonIn).reason
    made = reviews.confirm(access=access, proposal=found, reason=reason)
    return Status(201, champion.as_document(made))


@router.post(
    "/{slug}/proposals/{int:proposal}/withdraw",
    response={204: None, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(WithdrawalIn),
)
def withdraw_proposal(request: TokenRequest, slug: str, proposal: int) -> Status[None]:
    """Withdraw a proposal, or decline that of another approver."""
    access = auth.deciding(request, slug)
    found = proposals.find_proposal(access, proposal)
    reason = api_bodies.read(request, WithdrawalIn).reason
    reviews.withdraw(access=access, proposal=found, reason=reason)
    return Status(204, None)


@router.get(
    "/{slug}/shared-links",
    response={200: answer("SharedLinks", links=[SharedLinkRow]), **auth.WRITE_ERRORS},
)
def list_shared_links(request: TokenRequest, slug: str) -> dict[str, Sequence[SharedLinkRow]]:
    """Read-only links, those that were revoked too, for admins; their addresses are not kept."""
    return {"links": shared_links.links_of(auth.administering(request, slug, "read")).rows}


@router.post(
    "/{slug}/shared-links",
    response={201: schema_of(SharedLinkMade), **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(SharedLinkIn),
)
def create_shared_link(request: TokenRequest, slug: str) -> Status[SharedLinkMade]:
    """Make a link to one thing; its address stands in this answer alone."""
    access = auth.administering(request, slug)
    asked = api_bodies.read(request, SharedLinkIn)
    link, secret = sharing.create(
        access=access,
        experiment=asked.experiment,
        decision=asked.decision,
        frozen_report=asked.frozen_report,
    )
    address = urljoin(settings.PUBLIC_URL, reverse("shared", args=[secret]))
    return Status(201, joined(SharedLinkMade, shared_links.as_row(link), address=address))


@router.delete("/{slug}/shared-links/{int:link}", response={204: None, **auth.WRITE_ERRORS})
def revoke_shared_link(request: TokenRequest, slug: str, link: int) -> Status[None]:
    """Make a link useless at once."""
    sharing.revoke(access=auth.administering(request, slug), link_id=link)
    return Status(204, None)


@router.post("/{slug}/revert", response=_DECIDED, openapi_extra=api_bodies.described(RevertIn))
def revert_champion(request: TokenRequest, slug: str) -> Status[DecisionDocument]:
    """Make an earlier champion stand again; recorded as a decision of its own."""
    access = auth.deciding(request, slug)
    asked = api_bodies.read(request, RevertIn)
    made = champions.revert(access=access, **asked.dict())
    return Status(201, champion.as_document(made))


@router.post(
    "/{slug}/baseline/record", response=_DECIDED, openapi_extra=api_bodies.described(ReasonIn)
)
def record_baseline(request: TokenRequest, slug: str) -> Status[DecisionDocument]:
    """Enter the baseline that has run as the project's first champion."""
    access = auth.deciding(request, slug)
    replication = newest_baseline(access)
    if replication is None:
        raise NotFound(f"{slug} has run no baseline.")
    reason = api_bodies.read(request, ReasonIn).reason
    made = baselines.record(access=access, replication=replication, reason=reason)
    return Status(201, champion.as_document(made))
