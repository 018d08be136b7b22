"""The list of projects, and a project with its experiments."""

from __future__ import annotations

import hashlib
from typing import TypedDict

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from experiments.charts.seeds import LineagePlot
from experiments.decisions.queries.baselines import newest_baseline
from experiments.design.queries.experiments import (
    STATES,
    ExperimentFilter,
    archived_count,
    list_experiments,
    tags_in,
)
from experiments.site.queries.projects import (
    Inbox,
    ProjectRow,
    due_for,
    inbox_of,
    lineage,
    list_projects,
)
from experiments.team.pages.access import in_project, page_of
from experiments.team.queries.access import Access, archived_projects
from experiments.team.queries.first_runs import first_run
from experiments.trials.table.queries.free_studies import newest_studies
from experiments.verdict.queries.chain_check import log_problems
from experiments.verdict.queries.current_champion import champion_of
from experiments.web.pagination import Page
from experiments.web.requests import PersonRequest

STUDIES = 5  # of the newest ones
ORDER_WORDS = {
    "activity": "last activity",
    "created": "newest",
    "best": "best score",
    "trials": "most trials",
    "name": "name",
}


@require_safe
@login_required
def projects_page(request: PersonRequest) -> HttpResponse:
    """Home: what waits for a decision, then every project with its champion."""
    home = _home(request)
    archived = archived_projects(request.user, page_of(request, "archived"))
    context = {**home, "cursor": _mark(home), "section": "projects", "archived": archived}
    return render(request, "projects/list.html", context)


@require_safe
@login_required
def projects_live(request: PersonRequest) -> HttpResponse:
    """News for the open list: nothing (204) while nothing changed."""
    home = _home(request)
    mark = _mark(home)
    if mark == request.GET.get("since"):
        return HttpResponse(status=204)
    cards = render_to_string("projects/_cards.html", home, request)
    again = any(row.under_way for row in home["page"].rows)
    return JsonResponse({"since": mark, "again": again, "parts": {"projects": cards}})


class Home(TypedDict):
    page: Page[ProjectRow]
    inbox: Inbox


def _home(request: PersonRequest) -> Home:
    due = due_for(request.user)
    page = list_projects(request.user, page_of(request), due)
    return {"page": page, "inbox": inbox_of(request.user, due)}


def _mark(home: Home) -> str:
    return hashlib.sha256(repr(home).encode()).hexdigest()[:16]


@require_safe
@in_project
def project_page(request: HttpRequest, access: Access) -> HttpResponse:
    """A project's front page: its champions and experiments in order."""
    wanted = ExperimentFilter(
        text=request.GET.get("q", "").strip()[:200],
        state=request.GET.get("state", ""),
        order=request.GET.get("order", "activity"),
        page=page_of(request),
        tag=request.GET.get("tag", "")[:60],
        archived=request.GET.get("archived") == "1",
    )
    steps = [step for step in lineage(access.project_id) if step.gain is not None]
    figure = None
    if steps:
        figure = LineagePlot(
            [step.experiment for step in steps],
            [step.gain or 0.0 for step in steps],
            [step.gain if step.lower is None else step.lower for step in steps],  # type: ignore[misc]
            [step.gain if step.upper is None else step.upper for step in steps],  # type: ignore[misc]
            metric=access.official_metric,
        )
    champion = champion_of(access.project_id)
    context = {
        "project": access,
        "section": "experiments",
        "wanted": wanted,
        "states": STATES,
        "orders": ORDER_WORDS,
        "tags": tags_in(access),
        "archived": archived_count(access),
        "page": list_experiments(access, wanted),
        "champion": champion,
        "baseline": None if champion else newest_baseline(access),
        "lineage": figure,
        "studies": newest_studies(access, STUDIES),
        "received": first_run(access.slug),
        "log_problems": log_problems(access),
    }
    status = 409 if context["log_problems"] else 200
    return render(request, "projects/project.html", context, status=status)
