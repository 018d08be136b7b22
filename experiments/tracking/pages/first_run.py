"""News for whoever waits for a project's first run."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from experiments.team.pages.access import in_project
from experiments.team.queries.access import Access
from experiments.team.queries.first_runs import first_run


@require_safe
@in_project
def first_run_live(request: HttpRequest, access: Access) -> HttpResponse:
    """Nothing (204) until a program has logged a run."""
    found = first_run(access.slug)
    if found is None:
        return HttpResponse(status=204)
    context = {"received": found, "slug": access.slug}
    part = render_to_string("parts/first_run_state.html", context, request)
    return JsonResponse({"since": "1", "again": False, "parts": {"first-run": part}})
