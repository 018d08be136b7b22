"""The Decide page: adopt or reject?"""

from __future__ import annotations

import re
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from experiments.analysis.seeds.power import SeedsNeeded
from experiments.decisions.pages.decision_text import open_markdown
from experiments.decisions.queries.proposals import (
    Proposal,
    find_proposal,
    pending_on,
    read_proposal,
)
from experiments.decisions.services import decisions, reviews
from experiments.design.queries.experiments import find_experiment
from experiments.team.pages.access import attempted, done, in_project, required, whole_number
from experiments.team.queries.access import Access, people_who_may
from experiments.trials.artifacts.queries import deployables
from experiments.verdict.evidence.evidence import Evidence, evaluate
from experiments.verdict.evidence.evidence_state import changed_parts
from experiments.verdict.evidence.planning import earlier_spread, seeds_still_needed
from experiments.verdict.pages.candidates import asked, to_page
from experiments.verdict.pages.measuring import measuring
from experiments.verdict.pages.page_context import shared_context
from experiments.verdict.panels.decision_checklist import checks_of
from experiments.verdict.panels.evidence_view import evidence_page
from experiments.verdict.panels.path_context import PathContext, path_context
from experiments.verdict.queries.replication_state import find_replication
from experiments.verdict.services import replications


@require_safe
@in_project
def decide_page(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Everything the decision rests on, and the buttons that make it."""
    parts = path_context(access, required(find_experiment(access, name)), candidate=asked(request))
    context = _evidence_context(parts)
    approvers = people_who_may(access.project_id, "approver")
    context = {
        **shared_context(parts),
        **context,
        "targets": access.targets,
        "reviewed": {
            choice: decisions.needs_review(
                access.reviews, choice, choice in context.get("overriding", ())
            )
            for choice in ("adopt", "reject")
        },
        "reason": request.session.pop(f"reason-{parts.experiment.pk}", ""),
        "approvers": approvers,
        "others": [name for name in approvers if name != access.username],
    }
    return render(request, "experiments/decide.html", context)


def _evidence_context(parts: PathContext) -> dict[str, Any]:
    state = parts.replication
    if state is None:
        return {"replication": None}
    replication = required(find_replication(parts.access, parts.experiment, state.id))
    evidence = evaluate(replication)
    verdict = evidence.verdict
    looks = evidence.schedule.looks
    following = next((look for look in looks if look > replication.pairs_queued), None)
    page = evidence_page(evidence.document(), judged=verdict is not None)
    proposal = pending_on(replication.pk)
    return {
        "replication": state,
        "to_candidate": f"?candidate={state.position}" if len(state.candidates) > 1 else "",
        "evidence": page,
        "proposal": proposal,
        "expired": proposal and changed_parts(proposal.state, evidence.state),
        "checks": checks_of(page),
        "waiting": evidence.waiting,
        "measuring": measuring(parts.experiment, replication.candidate),
        "state": evidence.state,
        "checkpoints": deployables.checkpoints_of(replication),
        "outcome": evidence.outcome,
        "candidate_name": state.candidates[state.position - 1].name,
        "overriding": [
            choice
            for choice in ("adopt", "reject")
            if decisions.overrides(choice, evidence.outcome, state.retrospective)
        ],
        "test_metric": evidence.test_metric,
        "may_continue": bool(verdict and verdict.may_continue),
        "following": following,
        "may_add": bool(verdict and verdict.outcome == "undecided" and verdict.is_last_look),
        "needed": _needed(evidence) if evidence.outcome == "undecided" else None,
    }


def _needed(evidence: Evidence) -> SeedsNeeded | None:
    """Pairs that the smallest gain that matters still needs."""
    replication = evidence.replication
    return seeds_still_needed(
        replication.experiment,
        evidence.schedule,
        earlier_spread(replication.experiment),
        margin=replication.margin,
        candidates=replication.candidates,
        have=replication.pairs_queued,
    )


@require_safe
@in_project
def decide_file(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """The page as Markdown to download."""
    parts = path_context(access, required(find_experiment(access, name)), candidate=asked(request))
    context = _evidence_context(parts)
    page = context["evidence"] if required(context["replication"]) else None
    text = open_markdown(parts.experiment, required(page), access, waiting=context["waiting"])
    answer = HttpResponse(text, content_type="text/markdown; charset=utf-8")
    file = re.sub(r"[^A-Za-z0-9]+", "-", f"{access.slug}-{name}").strip("-")[:100]
    answer.headers["Content-Disposition"] = f'attachment; filename="{file}-evidence.md"'
    return answer


@require_POST
@in_project
def record_decision(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Write the decision with its evidence frozen; a stale page records nothing."""
    parts = path_context(access, required(find_experiment(access, name)), candidate=asked(request))
    choice = request.POST.get("choice", "")
    reason = request.POST.get("reason", "")
    state = parts.replication
    replication = None
    if state is not None:
        replication = required(find_replication(access, parts.experiment, state.id))
    made = attempted(
        request,
        lambda: reviews.decide(
            access=access,
            experiment=parts.experiment,
            choice=choice,
            reason=reason,
            replication=replication,
            state=request.POST.get("state", ""),
            override=request.POST.get("override") == "on",
            target=request.POST.get("target", "production"),
            checkpoint=whole_number(request.POST.get("checkpoint"), 0) or None,
        ),
    )
    if made is None:
        request.session[f"reason-{parts.experiment.pk}"] = reason[:10_000]
        return to_page(request, "decide", access, name)
    if isinstance(made, Proposal):
        messages.success(request, "Proposed. Another approver has to confirm it.")
        return to_page(request, "decide", access, name)
    messages.success(request, f"Recorded as decision {made.sequence}. It cannot be changed.")
    return redirect("decision", access.slug, made.sequence)


def _address_of(access: Access, proposal: int) -> str:
    """The Decide page of the candidate that a proposal is about; the list, when newer seeds have
    taken its place there.
    """
    row = read_proposal(proposal)
    if row.replaced:
        return f"{reverse('decisions', args=[access.slug])}#proposals"
    return f"{reverse('decide', args=[access.slug, row.experiment])}?candidate={row.candidate}"


@require_POST
@in_project
def confirm_proposal(request: HttpRequest, access: Access, proposal: int) -> HttpResponse:
    """Record what another approver proposed, with both reasons."""
    found = find_proposal(access, proposal)
    made = attempted(
        request,
        lambda: reviews.confirm(
            access=access, proposal=found, reason=request.POST.get("reason", "")
        ),
    )
    if made is None:
        return redirect(_address_of(access, proposal))
    messages.success(request, f"Confirmed and recorded as decision {made.sequence}.")
    return redirect("decision", access.slug, made.sequence)


@require_POST
@in_project
def withdraw_proposal(request: HttpRequest, access: Access, proposal: int) -> HttpResponse:
    """Withdraw a proposal, or decline that of another approver."""
    found = find_proposal(access, proposal)
    done(
        request,
        lambda: reviews.withdraw(
            access=access, proposal=found, reason=request.POST.get("reason", "")
        ),
        "The proposal is withdrawn; nothing was recorded.",
    )
    return redirect(_address_of(access, proposal))


@require_POST
@in_project
def open_test(request: HttpRequest, access: Access, name: str, replication: int) -> HttpResponse:
    """Show the test scores; the opening is counted and frozen into the decision."""
    experiment = required(find_experiment(access, name))
    declared = required(find_replication(access, experiment, replication))
    opened = attempted(
        request, lambda: replications.open_test(access=access, replication=declared)
    )
    if opened is not None:
        messages.success(request, "The test scores are open. This was recorded with your name.")
    return to_page(request, "decide", access, name)
