"""Dismiss a finding with a reason; mute overfitting where it is meant."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from experiments.design.queries.experiments import get_experiment
from experiments.team.pages.access import attempted, done, in_project, required
from experiments.team.queries.access import Access
from experiments.trials.findings.queries.findings import experiment_of_finding
from experiments.trials.findings.services import findings


@require_POST
@in_project
def dismiss_finding(request: HttpRequest, access: Access, finding: int) -> HttpResponse:
    """Keep the person and the reason with the finding; both go into a decision's evidence."""
    name = required(experiment_of_finding(access.project_id, finding))
    reason = request.POST.get("reason", "")[:2000]
    done = attempted(
        request,
        lambda: findings.dismiss(
            access=access, finding_id=finding, reason=reason, everywhere="all" in request.POST
        ),
    )
    if done is not None:
        messages.success(request, "Dismissed; the reason is part of the evidence.")
    back = request.POST.get("back", "")
    if url_has_allowed_host_and_scheme(back, allowed_hosts=None) and back.startswith("/"):
        return redirect(f"{back}#findings")
    return redirect("experiment", access.slug, name)


@require_POST
@in_project
def mute_overfitting(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Let overfitting ask for nothing in this experiment, or let it ask again."""
    experiment = get_experiment(access, name)
    muted = request.POST.get("muted") == "1"
    done(
        request,
        lambda: findings.mute_overfitting(access=access, experiment=experiment, muted=muted),
        "Overfitting is muted here." if muted else "Overfitting findings are shown again.",
    )
    return redirect(f"{reverse('experiment', args=(access.slug, name))}#findings")
