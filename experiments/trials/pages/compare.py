"""Runs side by side, and two searches: spaces, budgets, what n trials of each would find."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from experiments.design.queries.experiments import experiment_names, find_experiment
from experiments.team.pages.access import in_project, required
from experiments.team.queries.access import Access
from experiments.trials.pages.live_cursor import digest, read_cursor, write_cursor
from experiments.trials.panels.comparison import compare
from experiments.trials.panels.parts import read_parts
from experiments.trials.panels.run_comparison import Comparing, RunComparison
from experiments.trials.table.queries.compared_runs import ComparisonMarks, comparison_marks


@require_safe
@in_project
def compare_page(request: HttpRequest, access: Access) -> HttpResponse:
    """Runs side by side; with `a` and `b` in the address two searches."""
    if "a" in request.GET or "b" in request.GET:
        return _searches(request, access)
    comparing = Comparing(access, request.GET)
    cursor = _cursor(comparison_marks(comparing.ids))  # before it is read: later changes are news
    compared = comparing.comparison()
    context = _context(request, access, compared) | {"names": experiment_names(access)}
    if compared.runs:
        context |= {"panel": comparing.charts(), "cursor": cursor}
        searches = compared.experiments
        context["searches"] = searches if len(searches) == 2 else ()
    return render(request, "compare/runs.html", context)


@require_safe
@in_project
def compare_charts(request: HttpRequest, access: Access) -> HttpResponse:
    """The charts alone, for the script that swaps them."""
    panel = Comparing(access, request.GET).charts()
    return render(request, "runs/_charts.html", {"project": access, "panel": panel, "cursor": ""})


@require_safe
@in_project
def compare_live(request: HttpRequest, access: Access) -> HttpResponse:
    """News for an open comparison; 204 without any."""
    comparing = Comparing(access, request.GET)
    seen = read_cursor(request.GET.get("since", ""))
    marks = comparison_marks(comparing.ids)
    if (seen.table, seen.words) == (digest(marks.runs), digest(marks.files)):
        return HttpResponse(status=204)
    compared = comparing.comparison()
    context = _context(request, access, compared)
    parts = ["differences", "text"] + ["media"] * (seen.words != digest(marks.files))
    answer: dict[str, Any] = {
        "since": _cursor(marks),
        "again": compared.moving,
        "grown": True,
        "parts": {
            name: render_to_string(f"compare/_{name}.html", context, request) for name in parts
        },
    }
    return JsonResponse(answer)


def _cursor(marks: ComparisonMarks) -> str:
    return write_cursor(digest(marks.files), digest(marks.runs), "")


def _context(request: HttpRequest, access: Access, compared: RunComparison) -> dict[str, Any]:
    return {
        "project": access,
        "section": "runs",
        "compared": compared,
        "hidden": _pairs(request, "values", "diff", "with"),
        "hidden_media": _pairs(request, "media"),
    }


def _pairs(request: HttpRequest, *without: str) -> list[tuple[str, str]]:
    """Names and values of the address, as a form carries them."""
    left_out = {"since", "tab", *without}
    return [
        (name, value)
        for name, values in request.GET.lists()
        if name not in left_out
        for value in values
    ]


def _searches(request: HttpRequest, access: Access) -> HttpResponse:
    """Two experiments: differences, and the best of equally many trials."""
    asked = [request.GET.get(key, "") for key in ("a", "b")]
    context: dict[str, Any] = {
        "project": access,
        "section": "experiments",
        "names": experiment_names(access, asked),
        "asked": asked,
    }
    if all(asked) and asked[0] != asked[1]:
        both = [read_parts(access, required(find_experiment(access, name))) for name in asked]
        context |= {"both": both, "compared": compare(*both)}
    return render(request, "compare/searches.html", context)
