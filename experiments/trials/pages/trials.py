"""A trial's page: what happened in this run?"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from experiments.design.metrics import declared_metrics
from experiments.design.queries.experiments import find_experiment, get_experiment
from experiments.design.queries.records import ExperimentRecord, TrialRecord
from experiments.design.trial_names import parse_trial_name
from experiments.team.pages.access import in_project, page_of, required
from experiments.team.queries.access import Access
from experiments.trials.artifacts.queries.artifacts import media_of
from experiments.trials.findings.queries.findings import Findings, findings_of_trial
from experiments.trials.lifecycle.queries.added_trials import may_be_retried
from experiments.trials.lifecycle.queries.waiting import may_be_cancelled
from experiments.trials.pages.live_cursor import digest, read_cursor, write_cursor
from experiments.trials.pages.media import images_of
from experiments.trials.panels.curve_panel import (
    curve_news,
    curves_panel,
    encode_cursor,
    onsets_of,
)
from experiments.trials.panels.metric_groups import first_group, metric_groups
from experiments.trials.panels.parts import count_arms, read_parts
from experiments.trials.series.queries.curves import named_trials, news
from experiments.trials.table.queries.compared_runs import comparison_marks
from experiments.trials.table.queries.reproduce import line_of
from experiments.trials.table.queries.run_facts import run_facts
from experiments.trials.table.queries.trial_detail import detail_of, files_of, find_trial, name_of


@require_safe
@in_project
def trial_page(request: HttpRequest, access: Access, name: str, trial: str) -> HttpResponse:
    """Curves, parameters, environment, findings, files and the log of one trial."""
    experiment = required(find_experiment(access, name))
    found = required(find_trial(experiment, required(parse_trial_name(trial))))
    findings = findings_of_trial(found.pk)
    parts = read_parts(access, experiment, Findings(findings))
    detail = detail_of(found.pk, len(parts.arms))
    drawn = named_trials([found], len(parts.arms))
    shown = curves_panel(parts, drawn, request.GET.get("metric", ""), onsets=onsets_of(findings))
    running = detail.state == "running"
    files = digest(comparison_marks([found.pk]).files) if running else ""
    context = {
        "project": access,
        "section": "experiments",
        "experiment": parts.experiment,
        "trial": detail,
        "run": run_facts(found.pk),
        "findings": findings,
        "panel": shown,
        "cursor": write_cursor("", files, shown.cursor) if running else "",
        "reproduce": line_of(parts.experiment, found),
        "may_cancel": access.can_edit and may_be_cancelled(found),
        "may_retry": access.can_edit and may_be_retried(found),
        "may_try": access.can_edit and parts.file is not None and not detail.is_replicate,
        "media": media_of(found.pk, page_of(request, "media")),
        "files": files_of(found.pk, page_of(request)),
        "images": images_of(access, name, trial, found.pk),
        "is_best": parts.experiment.best_trial_id == found.pk,
    }
    return render(request, "experiments/trial.html", context)


@require_safe
@in_project
def trial_live(request: HttpRequest, access: Access, name: str, trial: str) -> HttpResponse:
    """New points of a running trial; when it has ended, the page is told to read itself again."""
    experiment = get_experiment(access, name)
    arms = count_arms(experiment)
    found = required(find_trial(experiment, required(parse_trial_name(trial))))
    drawn = named_trials([found], arms)
    seen = read_cursor(request.GET.get("since", ""))
    declared = declared_metrics(experiment.document)
    added = news(drawn, seen.curves or {}, declared)
    ended = drawn[0].finished
    files = digest(comparison_marks([found.pk]).files)
    if not added and not ended and files == seen.table:
        return HttpResponse(status=204)
    names = {series for curve in added for series in curve.series}
    every = metric_groups(names, declared, experiment.official_metric)
    wanted = request.GET.get("metric", "")
    group = every.get(wanted) if wanted else first_group(every)
    traces = curve_news(added, group)
    cursor = encode_cursor(added) if added else request.GET.get("since", "").rpartition("|")[2]
    parts = {} if files == seen.table else {"media": _media(request, access, experiment, found)}
    return JsonResponse(
        {
            "parts": parts,
            "curves": {"traces": traces, "gone": [], "group": group.key if group else ""},
            "since": write_cursor("", files, cursor),
            "again": not ended,
            "reload": ended,
        }
    )


def _media(
    request: HttpRequest, access: Access, experiment: ExperimentRecord, trial: TrialRecord
) -> str:
    """The gallery of a trial's files."""
    arms = count_arms(experiment)
    context = {
        "project": access,
        "experiment": experiment,
        "trial": {"name": name_of(trial, arms)},
        "media": media_of(trial.pk, page_of(request, "media")),
    }
    return render_to_string("experiments/_media.html", context, request)
