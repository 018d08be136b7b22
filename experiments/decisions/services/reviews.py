"""Decisions that a second approver confirms: proposed, confirmed, withdrawn, expired.

A proposal is no decision: it is not in the log, and no deployment sees it. Confirmed, it enters
the log as its proposer's decision, the confirmation frozen into the evidence that is signed.
"""

from __future__ import annotations

import hmac

from django.db import IntegrityError, transaction
from django.utils import timezone

from experiments.decisions.queries.proposals import read_proposal
from experiments.decisions.services import decision_log
from experiments.decisions.services.decisions import (
    Basis,
    Draft,
    basis_of,
    checked,
    close,
    deployed,
    expire_or_refuse,
    needs_review,
    record,
    write,
)
from experiments.design.queries.records import AnyExperiment, AnyReplication
from experiments.errors import Conflict, NotAllowed, ReviewNeeded, StaleEvidence
from experiments.models import Decision, Project, Proposal, Replication
from experiments.models.decision import ProposalState
from experiments.models.project import Role
from experiments.models.webhook import EventKind
from experiments.team.page_addresses import page
from experiments.team.queries.access import Access, find_project
from experiments.team.services import messages
from experiments.verdict.decision_chain import sign, signed_proposal
from experiments.verdict.evidence.evidence import Evidence
from experiments.verdict.evidence.evidence_state import changed_parts, evidence_state


def decide(
    *,
    access: Access,
    experiment: AnyExperiment,
    choice: str,
    reason: str,
    replication: AnyReplication | None = None,
    state: str = "",
    override: bool = False,
    target: str = "production",
    checkpoint: int | None = None,
) -> Decision | Proposal:
    """Record a decision, or propose it where the project wants a second approver.

    Raises:
        VerdictError: as `decisions.record` does.
    """
    try:
        return record(
            access=access,
            experiment=experiment,
            choice=choice,
            reason=reason,
            replication=replication,
            state=state,
            override=override,
            target=target,
            checkpoint=checkpoint,
        )
    except ReviewNeeded:
        draft = Draft(experiment, choice, reason, replication, state, override, target, checkpoint)
        return propose(access=access, draft=draft)


def propose(*, access: Access, draft: Draft) -> Proposal:
    """Keep a decision until a second approver confirms it, and tell who waits for such.

    It is checked as if it were recorded now.

    Raises:
        VerdictError: as `decisions.record` does.
        Conflict: when the project wants no second approver for it, or one is proposed already.
    """
    seen = checked(access, draft)
    try:
        with transaction.atomic():
            project = Project.objects.select_for_update().get(pk=access.project_id)
            basis = basis_of(draft, seen)
            expire_or_refuse(basis.replication)
            if basis.replication is None or not needs_review(
                project.reviews, draft.choice, basis.overrides(draft.choice)
            ):
                raise Conflict("This decision needs no second approver: record it.")
            deployed(draft.choice, basis.replication, draft.checkpoint)
            return _keep(access, project, draft, basis, basis.replication)
    except IntegrityError as error:
        raise Conflict("Somebody else proposed a decision at the same moment.") from error


def _keep(
    access: Access, project: Project, draft: Draft, basis: Basis, locked: Replication
) -> Proposal:
    proposal = Proposal(
        project=project,
        replication=locked,
        target=draft.target,
        choice=draft.choice,
        verdict=basis.verdict,
        overrides_verdict=basis.overrides(draft.choice),
        reason=decision_log.checked_reason(draft.reason),
        state=draft.state,
        checkpoint=draft.checkpoint,
        proposed_by=access.user,
        proposed_at=timezone.now(),
    )
    proposal.signature = sign(signed_proposal(proposal))
    proposal.save(force_insert=True)
    name = locked.experiment.name
    candidate = read_proposal(proposal.pk).candidate
    messages.announce(
        project=project,
        kind=EventKind.WANTED,
        key=f"proposed:{proposal.pk}",
        text=(
            f"{access.username} proposed {draft.choice} on {name} (verdict: {basis.verdict}); "
            "a second approver has to confirm it."
        ),
        path=f"{page('decide', project.slug, name)}?candidate={candidate}",
        experiment=locked.experiment,
    )
    return proposal


def confirm(*, access: Access, proposal: Proposal, reason: str) -> Decision:
    """Record what another approver proposed, with both reasons, if its evidence still stands.

    Raises:
        VerdictError: without a reason.
        NotAllowed: for who proposed it, or is no approver.
        StaleEvidence: when the evidence, the verdict or the champion changed; it has expired then.
        Conflict: when it waits no longer, or its proposer may decide no longer.
    """
    access.require(Role.APPROVER, proposal)
    second = decision_log.checked_reason(reason)
    if proposal.proposed_by_id == access.user.pk:
        raise NotAllowed("You proposed this decision; another approver has to confirm it.")
    _check_signature(proposal)
    proposer = _proposer(access, proposal)
    draft = _draft(proposal)
    seen = checked(proposer, draft)
    try:
        with transaction.atomic():
            project = Project.objects.select_for_update().get(pk=access.project_id)
            locked = _waiting(proposal)
            basis = _same_basis(draft, seen, proposal.verdict)
            confirmation = {
                "by": access.username,
                "reason": second,
                "proposed_at": locked.proposed_at.isoformat(),
                "confirmed_at": timezone.now().isoformat(),
            }
            made = write(proposer, project, draft, basis, seen, confirmation=confirmation)
            close(locked, ProposalState.CONFIRMED, by=access.user, because=second)
            return made
    except IntegrityError as error:
        raise decision_log.taken(access.project_id) from error
    except _Expired as error:
        _expire(proposal, error.message)
        raise


class _Expired(StaleEvidence):
    """The records no longer admit what was proposed."""


def _same_basis(draft: Draft, seen: Evidence | None, verdict: str) -> Basis:
    try:
        basis = basis_of(draft, seen)
    except Conflict as error:
        raise _Expired(error.message) from error
    if basis.verdict != verdict:
        raise _Expired(f"The verdict was {verdict} and is {basis.verdict} by now.")
    return basis


def _waiting(proposal: Proposal) -> Proposal:
    """The proposal, locked; refused when somebody confirmed or withdrew it."""
    locked = Proposal.objects.select_for_update().get(pk=proposal.pk)
    if locked.outcome != ProposalState.PENDING:
        by = f" by {locked.closed_by.get_username()}" if locked.closed_by else ""
        raise Conflict(f"This proposal is {locked.outcome}{by}. Nothing was recorded twice.")
    return locked


def _draft(proposal: Proposal) -> Draft:
    replication = Replication.objects.select_related("experiment").get(pk=proposal.replication_id)
    return Draft(
        experiment=replication.experiment,
        choice=proposal.choice,
        reason=proposal.reason,
        replication=replication,
        state=proposal.state,
        override=proposal.overrides_verdict,
        target=proposal.target,
        checkpoint=proposal.checkpoint,
    )


def _check_signature(proposal: Proposal) -> None:
    if not hmac.compare_digest(proposal.signature, sign(signed_proposal(proposal))):
        raise Conflict(
            "This proposal is not what its proposer wrote: it was altered in the database. "
            "Withdraw it."
        )


def _proposer(access: Access, proposal: Proposal) -> Access:
    """The proposer's access; refused when they may decide no longer."""
    found = find_project(proposal.proposed_by, access.slug)
    if found is None or not found.can_decide:
        name = proposal.proposed_by.get_username()
        _expire(proposal, f"{name} is no longer an approver of {access.slug}.")
        raise Conflict(f"{name} proposed this and is no longer an approver. Decide it again.")
    return found


def withdraw(*, access: Access, proposal: Proposal, reason: str = "") -> None:
    """End a proposal's wait without a decision: its proposer, or an approver who declines it.

    Raises:
        NotAllowed: for who is no approver and did not propose it.
        Conflict: when it waits no longer.
    """
    mine = proposal.proposed_by_id == access.user.pk
    access.require(Role.VIEWER if mine else Role.APPROVER, proposal)
    because = decision_log.checked_reason(reason) if reason.strip() else ""
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=access.project_id)
        close(_waiting(proposal), ProposalState.WITHDRAWN, by=access.user, because=because)


def _expire(proposal: Proposal, because: str) -> None:
    Proposal.objects.filter(pk=proposal.pk, outcome=ProposalState.PENDING).update(
        outcome=ProposalState.EXPIRED, closed_at=timezone.now(), closed_because=because
    )


def expire_stale() -> None:
    """Expire proposals whose evidence changed; the web server calls it once a minute."""
    pending = Proposal.objects.filter(outcome=ProposalState.PENDING)
    for proposal in pending.select_related("replication__experiment"):
        if changed := changed_parts(proposal.state, evidence_state(proposal.replication)):
            _expire(proposal, f"changed: {', '.join(changed)}")
