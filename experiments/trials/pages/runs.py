"""Runs of a project, or of some of its experiments: a table with charts beside it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_safe

from experiments.errors import NotFound
from experiments.team.pages.access import in_project
from experiments.team.queries.access import Access
from experiments.trials.pages.live_cursor import read_cursor, write_cursor
from experiments.trials.panels.run_charts import run_charts
from experiments.trials.panels.run_table import run_table
from experiments.trials.table.queries.run_scope import RunScope, fields_in, scope_of
from experiments.trials.table.queries.run_views import default_view, views_of
from experiments.trials.table.queries.runs_marker import runs_marker
from experiments.trials.table.runs_state import OPERATORS, ROWS

SPLIT, NARROWEST, BROADEST = 58, 20, 85  # percent of the width that the table has


def _is_whole(access: Access, query: str) -> bool:
    """Test whether every experiment that a view names is there; they can be renamed or deleted."""
    try:
        scope_of(access, QueryDict(query).getlist("experiments"))
    except NotFound:
        return False
    return True


@require_safe
@in_project
def runs_page(request: HttpRequest, access: Access) -> HttpResponse:
    """The table beside its charts; a bare address opens the project's default view."""
    if not request.GET:
        view = default_view(access)
        if view is not None and view.query and _is_whole(access, view.query):
            return redirect(f"{reverse('runs', args=[access.slug])}?{view.query}&view={view.id}")
    scope = _scope(request, access)
    cursor = _cursor(scope)  # before the table is read: later changes are news
    table = table_context(request, access, scope)
    context = {
        **table,
        "panel": run_charts(scope, request.GET, table["table"].fields),
        "section": "runs",
        "cursor": cursor,
        "split": split_of(request.GET),
    }
    return render(request, "runs/runs.html", context)


@require_safe
@in_project
def runs_table(request: HttpRequest, access: Access) -> HttpResponse:
    """The table alone, for the script that swaps it; `embedded` in an experiment's page."""
    context = table_context(request, access, _scope(request, access))
    return render(request, "runs/_table.html", context)


@require_safe
@in_project
def runs_charts(request: HttpRequest, access: Access) -> HttpResponse:
    """The charts alone, for the script that swaps them."""
    scope = _scope(request, access)
    context = {
        "project": access,
        "panel": run_charts(scope, request.GET, fields_in(scope)),
        "cursor": _cursor(scope),
    }
    return render(request, "runs/_charts.html", context)


@require_safe
@in_project
def runs_live(request: HttpRequest, access: Access) -> HttpResponseBase:
    """News for an open page: its table, and whether its charts have grown; 204 without any."""
    scope = _scope(request, access)
    marker = runs_marker(scope)
    if marker.moving and marker.mark == read_cursor(request.GET.get("since", "")).table:
        return HttpResponse(status=204)
    changed = marker.mark != read_cursor(request.GET.get("since", "")).table
    answer: dict[str, Any] = {"since": write_cursor("", marker.mark, ""), "again": marker.moving}
    if changed:
        context = table_context(request, access, scope)
        answer["parts"] = {"trials": render_to_string("runs/_table.html", context, request)}
        answer["grown"] = True
    return JsonResponse(answer)


def _scope(request: HttpRequest, access: Access) -> RunScope:
    return scope_of(access, list(dict.fromkeys(filter(None, request.GET.getlist("experiments")))))


def _cursor(scope: RunScope) -> str:
    return write_cursor("", runs_marker(scope).mark, "")


def split_of(query: QueryDict) -> int:
    """Share of the width that the table has, in percent."""
    text = query.get("split", "")
    return (
        min(max(int(text), NARROWEST), BROADEST) if text.isdecimal() and len(text) < 3 else SPLIT
    )


def table_context(
    request: HttpRequest, access: Access, scope: RunScope, *, embedded: bool = False
) -> dict[str, Any]:
    """Context of the template of a runs table; `embedded`: in the page of its experiment."""
    embedded = embedded or request.GET.get("embedded") == "1"
    return {
        "project": access,
        "table": run_table(scope, request.GET, embedded=embedded),
        "operators": OPERATORS,
        "row_counts": ROWS,
        "views": views_of(access),
        "view": request.GET.get("view", ""),
    }
