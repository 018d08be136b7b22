"""Two experiments of a project compared: spaces, budgets, what n trials of each would find."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from experiments.design.queries.experiments import experiment_names, find_experiment
from experiments.team.pages.access import in_project, required
from experiments.team.queries.access import Access
from experiments.trials.panels.comparison import compare
from experiments.trials.panels.parts import read_parts


@require_safe
@in_project
def compare_page(request: HttpRequest, access: Access) -> HttpResponse:
    """Page that compares two experiments: differences, and the best of equally many trials."""
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
    return render(request, "projects/compare.html", context)
