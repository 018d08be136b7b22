"""Buttons that probe edges of a search space, and that end a probe."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from experiments.design.queries.experiments import get_experiment
from experiments.team.pages.access import done, in_project
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.services import edge_probes


@require_POST
@in_project
def probe_edges(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Probe the edges that the form names, or every edge."""
    experiment = get_experiment(access, name)
    subjects = request.POST.getlist("edge")[:100]
    done(
        request,
        lambda: edge_probes.ask(access=access, experiment=experiment, subjects=subjects),
        "Probe started.",
    )
    return redirect(f"{reverse('experiment', args=(access.slug, name))}#findings")


@require_POST
@in_project
def cancel_probe(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """End the probe that is under way."""
    experiment = get_experiment(access, name)
    done(
        request,
        lambda: edge_probes.cancel(access=access, experiment=experiment),
        "Probe cancelled.",
    )
    return redirect(f"{reverse('experiment', args=(access.slug, name))}#findings")
