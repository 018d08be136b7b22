"""Page of worker nodes, their trials and their queues."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from experiments.team.pages.access import page_of
from experiments.trials.lifecycle.queries.workers import busiest, list_queues, list_workers
from experiments.web.requests import PersonRequest

MOST_QUEUES = 100


@require_safe
@login_required
def workers_page(request: PersonRequest) -> HttpResponse:
    """All nodes, and all queues with how much is left."""
    context = _context(request)
    return render(request, "workers/workers.html", {**context, "cursor": _mark(request, context)})


@require_safe
@login_required
def workers_live(request: PersonRequest) -> HttpResponse:
    """News for the open page: nothing (204) while it reads the same."""
    context = _context(request)
    mark = _mark(request, context)
    if mark == request.GET.get("since"):
        return HttpResponse(status=204)
    return JsonResponse({"since": mark, "again": True, "parts": _parts(request, context)})


def _context(request: PersonRequest) -> dict[str, Any]:
    queues = list_queues()
    return {
        "workers": list_workers(request.user, page_of(request)),
        "queues": busiest(queues, MOST_QUEUES),
        "unlisted": max(0, len(queues) - MOST_QUEUES),
    }


def _parts(request: PersonRequest, context: dict[str, Any]) -> dict[str, str]:
    return {
        name: render_to_string(f"workers/_{name}.html", context, request)
        for name in ("queues", "workers")
    }


def _mark(request: PersonRequest, context: dict[str, Any]) -> str:
    """Of the words themselves: heartbeats move all the time and are told in rounded words."""
    words = repr(sorted(_parts(request, context).items()))
    return hashlib.sha256(words.encode()).hexdigest()[:16]
