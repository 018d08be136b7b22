"""Pages of free-standing studies: the list of a project, and one with its charts."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from experiments.team.pages.access import in_project, page_of, required, whole_number
from experiments.team.queries.access import Access
from experiments.trials.panels.study_panels import TABS, panel, view_of
from experiments.trials.table.filter_language import Comparison, condition_text, field_of
from experiments.trials.table.queries.free_studies import find_study, list_studies
from experiments.trials.table.runs_state import RunsState


@require_safe
@in_project
def studies_page(request: HttpRequest, access: Access) -> HttpResponse:
    """Studies of Optuna in a project, the newest first."""
    text = request.GET.get("q", "").strip()[:200]
    page = list_studies(access, text, page_of(request))
    context = {"project": access, "section": "experiments", "page": page, "text": text}
    return render(request, "studies/list.html", context)


@require_safe
@in_project
def study_page(request: HttpRequest, access: Access, study: int) -> HttpResponse:
    """A study of Optuna: its best trial and charts of all its trials."""
    return render(request, "studies/study.html", _context(request, access, study))


@require_safe
@in_project
def study_charts(request: HttpRequest, access: Access, study: int) -> HttpResponse:
    """The panel of one tab, for the script that swaps it."""
    return render(request, "experiments/_charts.html", _context(request, access, study))


def _context(request: HttpRequest, access: Access, study: int) -> dict[str, Any]:
    found = required(find_study(access, study))
    runs = RunsState(filter=condition_text(Comparison(field_of("study"), "=", found.name)))
    view = view_of(found, whole_number(request.GET.get("objective")) - 1)
    best = view.best
    return {
        "project": access,
        "section": "experiments",
        "study": found,
        "view": view,
        "best": None
        if best is None
        else {
            "number": view.points.names[best],
            "value": float(view.points.scores[best]),
            "parameters": view.points.parameters[best],
        },
        "runs": f"{reverse('runs', args=[access.slug])}?{runs.query()}",
        "panel": panel(view, request.GET.dict()),
        "tabs": TABS,
        "cursor": "",
    }
