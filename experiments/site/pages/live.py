"""News for an open page: points that it has not got, and the words that changed.

The page sends what it has seen; nothing is kept here between two questions. When nothing changed
the answer is empty (204) after a handful of small queries.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from experiments.decisions.queries.shared_links import working_links
from experiments.design.metrics import declared_metrics
from experiments.design.queries.experiments import find_experiment
from experiments.design.queries.records import ExperimentRecord
from experiments.team.pages.access import in_project, required
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.queries.change_marker import (
    ChangeMarker,
    change_marker,
    find_marker,
)
from experiments.trials.pages.live_cursor import Seen, digest, marks, read_cursor, write_cursor
from experiments.trials.pages.runs import table_context
from experiments.trials.panels.curve_panel import SEEDS, curve_news, encode_cursor, wanted_trials
from experiments.trials.panels.metric_groups import first_group, metric_groups
from experiments.trials.panels.panel import Panel
from experiments.trials.panels.parts import count_arms
from experiments.trials.series.queries.curves import CurveTrial, TrialCurves, news
from experiments.trials.series.queries.series import has_come
from experiments.trials.table.queries.run_scope import scope_of
from experiments.verdict.pages.page_context import shared_context
from experiments.verdict.panels.path_context import PathContext, path_context
from experiments.verdict.queries.replication_state import complete_replication


def page_cursor(parts: PathContext, shown: Panel) -> str:
    """The cursor of a page that is about to be sent."""
    return write_cursor(*marks(change_marker(parts.experiment)), shown.cursor)


@require_safe
@in_project
def experiment_live(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """News for an open experiment page."""
    seen = read_cursor(request.GET.get("since", ""))
    marker = required(find_marker(access, name))
    if (
        marker.moving
        and marks(marker) == (seen.words, seen.table)
        and _curves_stand(request, seen)
    ):
        return HttpResponse(status=204)
    return _news(request, access, required(find_experiment(access, name)), marker)


def _curves_stand(request: HttpRequest, seen: Seen) -> bool:
    """Test whether no curve of the page has grown. Which trials are drawn hangs on what its words
    and its table say, save for replicates.
    """
    if request.GET.get("tab", "curves") != "curves":
        return True
    if request.GET.get("trials") == "seeds" or not seen.curves:
        return False
    return not has_come(
        {trial: (attempt, batch) for trial, (attempt, batch, _) in seen.curves.items()}
    )


def _news(
    request: HttpRequest, access: Access, experiment: ExperimentRecord, marker: ChangeMarker
) -> HttpResponse:
    seen = read_cursor(request.GET.get("since", ""))
    words, table = marks(marker)
    answer: dict[str, Any] = {}
    cursor = request.GET.get("since", "").rpartition("|")[2]
    if request.GET.get("tab", "curves") == "curves":
        added, cursor = _curves(request, experiment, seen)
        if added:
            answer["curves"] = added
    if (words, table) != (seen.words, seen.table):
        parts = path_context(access, experiment)
        answer["parts"] = {}
        if words != seen.words:
            answer["parts"] |= _words(request, parts)
            answer["charts"] = digest(marker.finished)
        if table != seen.table:
            answer["parts"]["trials"] = _table(request, parts)
    if not answer and marker.moving:
        return HttpResponse(status=204)
    answer["again"] = marker.moving or bool(answer)
    answer["since"] = write_cursor(words, table, cursor)
    return JsonResponse(answer)


def _table(request: HttpRequest, parts: PathContext) -> str:
    scope = scope_of(parts.access, [parts.experiment.name])
    context = table_context(request, parts.access, scope, embedded=True)
    return render_to_string("runs/_table.html", context, request)


def _words(request: HttpRequest, parts: PathContext) -> dict[str, str]:
    links = working_links(parts.access, experiment=parts.experiment.name)
    context = {**shared_context(parts), "links": links}
    return {
        name: render_to_string(f"experiments/_{name}.html", context, request)
        for name in ("head", "facts", "record", "path", "next", "findings", "checklist")
    }


def _curves(
    request: HttpRequest, experiment: ExperimentRecord, seen: Seen
) -> tuple[dict[str, Any], str]:
    """Points to add and trials to take away, and the cursor after them."""
    declared = declared_metrics(experiment.document)
    arms = count_arms(experiment)
    picked = request.GET.get("trials", "")
    replication = complete_replication(experiment.pk) if picked == SEEDS else None
    trials = wanted_trials(experiment, arms, picked, replication)
    had = seen.curves or {}
    added = news(trials, had, declared)
    ids = {trial.id for trial in trials}
    gone = [trial for trial in had if trial not in ids]
    cursor = _cursor_after(trials, had, added)
    if not added and not gone:
        return {}, cursor
    names = {name for curve in added for name in curve.series}
    found = metric_groups(names, declared, experiment.official_metric)
    wanted = request.GET.get("metric", "")
    group = found.get(wanted) if wanted else first_group(found)
    traces = curve_news(added, group) if group else []
    return {"traces": traces, "gone": gone, "group": group.key if group else ""}, cursor


def _cursor_after(
    trials: list[CurveTrial],
    had: dict[int, tuple[int, int, bool]],
    added: list[TrialCurves],
) -> str:
    new = {curve.trial.id: curve for curve in added}
    places = []
    for trial in trials:
        if trial.id in new:
            places.append(encode_cursor([new[trial.id]]))
        elif trial.id in had:
            attempt, batch, finished = had[trial.id]
            places.append(f"{trial.id}:{attempt}.{batch}{'f' if finished else 'r'}")
    return ",".join(places)
