"""Two experiments of a project compared: spaces, budgets, what n trials of each would find."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from experiments.charts.progress import best_of_plot, distribution_plot
from experiments.queries.access import Access
from experiments.queries.experiments import experiment_names, find_experiment
from experiments.queries.search_points import search_points
from experiments.views.experiment_parts import ExperimentParts, gather
from experiments.views.guard import in_project, required
from experiments.views.panels import Chart
from experiments.views.progress_panel import best_of_curve
from experiments.views.side_by_side import at_equal_counts, cautions, comparable, space_rows


@require_safe
@in_project
def compare_page(request: HttpRequest, access: Access) -> HttpResponse:
    """How do two experiments differ, and which would find more with the same number of trials?"""
    asked = [request.GET.get(key, "") for key in ("a", "b")]
    context: dict[str, Any] = {
        "project": access,
        "section": "experiments",
        "names": experiment_names(access, asked),
        "asked": asked,
    }
    if all(asked) and asked[0] != asked[1]:
        first, second = (gather(access, required(find_experiment(access, name))) for name in asked)
        context |= _compared(first, second)
    return render(request, "projects/compare.html", context)


def _compared(first: ExperimentParts, second: ExperimentParts) -> dict[str, Any]:
    both = (first, second)
    rows = [search_points(each.experiment.pk, len(each.arms), parameters=False) for each in both]
    scores = [row.scores[row.complete] for row in rows]
    space = space_rows(first, second)
    shown: dict[str, Any] = {
        "both": both,
        "space": space,
        "same": sum(not row.difference for row in space),
        "cautions": cautions(first, second),
        "summary": at_equal_counts(first, second, scores[0], scores[1]),
        "charts": [],
    }
    if comparable(first, second) and any(row.size for row in scores):
        experiment = first.experiment
        metric, maximize = experiment.official_metric, experiment.direction == "maximize"
        names = [each.experiment.name for each in both]
        curves = [
            best_of_curve(name, row, experiment.direction)
            for name, row in zip(names, scores, strict=True)
        ]
        shown["charts"] = [
            Chart("figure-best-of", "Expected best of n trials",
                  best_of_plot(curves, metric=metric), "Expected best score by number of trials",
                  note="All arms of each together; read them at the same n."),
            Chart("figure-distribution", "Distribution of scores",
                  distribution_plot(list(zip(names, scores, strict=True)), metric=metric,
                                    maximize=maximize), "Share of trials by score"),
        ]  # fmt: skip
    return shown
