"""Addresses that MLflow's clients print, and the pages that they stand for."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from experiments.team.pages.access import required
from experiments.tracking.queries import run_places
from experiments.web.requests import PersonRequest


@require_safe
@login_required
def open_experiment(request: PersonRequest, experiment: int) -> HttpResponse:
    """To the page of an experiment that a client knows by its id."""
    slug, name = required(run_places.of_experiment(request.user, experiment))
    return redirect("experiment", slug, name)


@require_safe
@login_required
def open_run(request: PersonRequest, experiment: int, run: str) -> HttpResponse:
    """To the page of a run that a client knows by its id."""
    slug, name, number = required(run_places.of_run(request.user, run))
    return redirect("trial", slug, name, number)
