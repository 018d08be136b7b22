"""An experiment's page, its charts as a fragment, and what a person can do with the search."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from experiments.charts.learning_curves import LearningCurves
from experiments.decisions.queries.shared_links import working_links
from experiments.design.queries.experiments import find_experiment, tags_of
from experiments.design.review.design_review import design_checks
from experiments.site.pages.live import page_cursor
from experiments.team.pages.access import in_project, required
from experiments.team.queries.access import Access
from experiments.trials.pages.followups import followed_by
from experiments.trials.pages.media import images_in_notes
from experiments.trials.pages.runs import split_of, table_context
from experiments.trials.panels.panel import Panel
from experiments.trials.panels.search_charts import TABS, panel
from experiments.trials.table.queries.drawn_runs import differences
from experiments.trials.table.queries.reproduce import line_of
from experiments.trials.table.queries.run_facts import logged_metrics
from experiments.trials.table.queries.run_scope import scope_of
from experiments.verdict.pages.page_context import shared_context
from experiments.verdict.panels.path_context import PathContext, path_context


@require_safe
@in_project
def experiment_page(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Is it going well, and what should I do next?"""
    parts = path_context(access, required(find_experiment(access, name)))
    shown = asked_panel(request, parts)
    context = {
        **shared_context(parts),
        **table_context(request, access, scope_of(access, [name]), embedded=True),
        "split": split_of(request.GET),
        **panel_context(shown, request),
        "space": parts.file.space.hyperparameters if parts.file else (),
        "conditional": parts.file
        and any(hyperparameter.when for hyperparameter in parts.file.space.hyperparameters),
        "named_arms": parts.file.arms() if parts.file and parts.file.space.named else (),
        "runs": parts.file.space.runs if parts.file else None,
        "checks": design_checks(parts.file, access, parts.experiment.official_metric)
        if parts.file
        else None,
        "tags": tags_of(parts.experiment.pk),
        "images": images_in_notes(access, parts.experiment),
        "logged_metrics": ()
        if parts.experiment.official_metric
        else logged_metrics(parts.experiment.pk),
        "followed": followed_by(parts),
        "reproduce": line_of(parts.experiment, parts.experiment.best_trial),
        "cursor": page_cursor(parts, shown),
        "links": working_links(access, experiment=name),
    }
    return render(request, "experiments/experiment.html", context)


@require_safe
@in_project
def charts_fragment(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """The panel of one tab, for the script that swaps it."""
    parts = path_context(access, required(find_experiment(access, name)))
    shown = asked_panel(request, parts)
    context = {
        **panel_context(shown, request),
        "project": access,
        "experiment": parts.experiment,
        "cursor": page_cursor(parts, shown),
    }
    return render(request, "experiments/_charts.html", context)


def asked_panel(request: HttpRequest, parts: PathContext) -> Panel:
    return panel(parts, request.GET.dict())


def panel_context(shown: Panel, request: HttpRequest) -> dict[str, Any]:
    return {"panel": shown, "tabs": TABS, "named": _named(shown)}


def _named(shown: Panel) -> dict[str, tuple[str, str]]:
    """Name of each run whose curve is drawn, with what tells it apart. At most one query."""
    plots = (chart.plot for chart in shown.charts)
    lines = [line for plot in plots if isinstance(plot, LearningCurves) for line in plot.lines]
    names = {line.trial: line.trial_name for line in lines}
    apart = differences(list(names)) if names else {}
    return {str(key): (name, apart.get(key, "")) for key, name in names.items()}
