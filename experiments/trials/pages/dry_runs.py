"""Pages of dry runs: one trial of a file before its experiment starts."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_POST, require_safe

from experiments.charts.learning_curves import LearningCurves, Line
from experiments.team.pages.access import done, in_project, required
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.queries.dry_runs import DryRun, DryRunSeries, find_dry_run
from experiments.trials.lifecycle.services import dry_runs
from experiments.web.plain_json import plain


@require_safe
@in_project
def dry_run_page(request: HttpRequest, access: Access, dry_run: int) -> HttpResponse:
    """Curve, metrics, time and memory of one trial, and what the search will take."""
    found = required(find_dry_run(access, dry_run))
    return render(request, "experiments/dry_run.html", _context(access, found))


@require_safe
@in_project
def dry_run_live(request: HttpRequest, access: Access, dry_run: int) -> HttpResponse:
    """News for the open page: nothing (204) while it reads the same."""
    context = _context(access, required(find_dry_run(access, dry_run)))
    if context["cursor"] == request.GET.get("since"):
        return HttpResponse(status=204)
    markup = render_to_string("experiments/_dry_run.html", context, request)
    answer = {"since": context["cursor"], "parts": {"dry_run": markup}}
    return JsonResponse({**answer, "again": context["run"].is_open})


@require_POST
@in_project
def cancel_dry_run(request: HttpRequest, access: Access, dry_run: int) -> HttpResponse:
    """End a dry run; what it has logged stays."""
    done(
        request,
        lambda: dry_runs.cancel(access=access, dry_run=dry_run),
        "The trial ends within seconds.",
    )
    return redirect("dry_run", access.slug, dry_run)


def _context(access: Access, found: DryRun) -> dict[str, Any]:
    mark = hashlib.sha256(repr(found).encode()).hexdigest()[:16]
    official = [metric for metric in found.series if metric.official]
    return {
        "project": access,
        "section": "experiments",
        "run": found,
        "cursor": mark,
        "curve": plain(_curve(official[0])) if official else None,
    }


def _curve(series: DryRunSeries) -> LearningCurves:
    line = Line(
        trial=0,
        trial_name="",
        series=series.name,
        is_train=False,
        steps=np.asarray(series.steps),
        values=np.asarray(series.values, dtype=np.float64),
        seconds=np.zeros(len(series.steps)),
    )
    return LearningCurves([line], y_title=series.name, legend=False)
