"""The page of a read-only link: one experiment, decision or frozen report, to whoever has the
address.

No session and no token takes part. The page asks for no other address than its own and the
server's scripts and styles, so that nothing else can be read through it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from experiments.decisions.queries.decisions import find_decision
from experiments.decisions.queries.shared_links import Shared, find_shared
from experiments.design.metrics import declared_metrics, scores_on_test
from experiments.design.queries.experiments import find_experiment
from experiments.reports.pages.frozen import found_copy, frozen_part, frozen_places
from experiments.reports.queries.reports import find_frozen
from experiments.team.pages.access import required
from experiments.trials.panels.parts import sealed_parts
from experiments.trials.panels.search_charts import TABS, panel
from experiments.trials.table.queries.trial_table import TrialFilter, list_trials
from experiments.verdict.panels.evidence_view import evidence_page
from experiments.verdict.queries.chain_check import log_problems

MOST_PARAMETERS = 8
View = Callable[[HttpRequest, str], HttpResponse]


def _unlisted(view: View) -> View:
    """Keep an address out of search engines, of other sites' logs and of caches."""

    @wraps(view)
    def page(request: HttpRequest, secret: str) -> HttpResponse:
        try:
            answer = view(request, secret)
        except Http404:
            answer = render(request, "shared/gone.html", status=404)
        answer.headers["X-Robots-Tag"] = "noindex, nofollow"
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

    return page


@require_safe
@never_cache
@_unlisted
def shared_page(request: HttpRequest, secret: str) -> HttpResponse:
    """The page of a link; 404 for one that was revoked or never was."""
    shared = required(find_shared(secret))
    if shared.frozen is not None:
        return _frozen(request, shared, shared.frozen)
    if shared.sequence is not None:
        return render(request, "shared/decision.html", _decision(shared))
    return render(request, "shared/experiment.html", _experiment(request, shared))


def _frozen(request: HttpRequest, shared: Shared, number: int) -> HttpResponse:
    """A frozen report, or one part of it; its parts are asked for at this very address."""
    copy = found_copy(lambda: find_frozen(shared.access, number))
    if isinstance(copy, HttpResponse):
        raise Http404
    if "embedded" in request.GET:
        return frozen_part(request, copy)
    parts = frozen_places(copy, request.path)
    return render(
        request, "shared/report.html", {"shown": shared.access, "copy": copy, "parts": parts}
    )


def _decision(shared: Shared) -> dict[str, Any]:
    decision = required(find_decision(shared.access, shared.sequence or 0))
    if log_problems(shared.access) or decision.problems:
        raise Http404
    experiment = find_experiment(shared.access, decision.experiment)
    declared = declared_metrics(experiment.document) if experiment else {}
    if scores_on_test(str(decision.evidence.get("metric") or ""), declared):
        raise Http404
    evidence = {key: value for key, value in decision.evidence.items() if key != "test"}
    return {
        "shown": shared.access,
        "decision": replace(decision, evidence=evidence),
        "evidence": evidence_page(evidence),
    }


def _experiment(request: HttpRequest, shared: Shared) -> dict[str, Any]:
    experiment = required(find_experiment(shared.access, shared.experiment))
    parts = required(sealed_parts(shared.access, experiment))
    trials = list_trials(
        experiment.pk,
        parts.arms,
        TrialFilter(order="score"),
        direction=experiment.direction,
        parameters=parts.parameters,
    )
    return {
        "shown": shared.access,
        "experiment": experiment,
        "arms": parts.arms,
        "findings": parts.findings,
        "panel": panel(parts, request.GET.dict()),
        "tabs": TABS,
        "page": trials,
        "columns": parts.parameters[:MOST_PARAMETERS],
        "space": parts.file.space.hyperparameters if parts.file else (),
    }
