"""The page of a read-only link: one experiment or one decision, to whoever has the address.

No session and no token takes part. The page asks for no other address than its own and the
server's scripts and styles, so that nothing else can be read through it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from experiments.decisions.queries.decisions import find_decision
from experiments.decisions.queries.shared_links import Shared, find_shared
from experiments.design.metrics import DeclaredMetrics, declared_metrics, scores_on_test
from experiments.design.queries.experiments import find_experiment
from experiments.team.pages.access import required
from experiments.trials.panels.parts import ExperimentParts, read_parts
from experiments.trials.panels.search_charts import TABS, panel
from experiments.trials.table.queries.trial_table import TrialFilter, list_trials
from experiments.verdict.panels.evidence_view import evidence_page
from experiments.verdict.queries.chain_check import log_problems

MOST_PARAMETERS = 8
View = Callable[[HttpRequest, str], HttpResponse]


@dataclass(frozen=True, slots=True)
class SealedParts(ExperimentParts):
    """Parts of an experiment of which no test score is read, whatever it declares of itself."""

    @property
    def declared(self) -> DeclaredMetrics:
        known = DeclaredMetrics(ExperimentParts.declared.fget(self))  # type: ignore[attr-defined]
        known.seals_test = True
        return known


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
    """The experiment or decision of a link; 404 for one that was revoked or never was."""
    shared = required(find_shared(secret))
    if shared.sequence is not None:
        return render(request, "shared/decision.html", _decision(shared))
    return render(request, "shared/experiment.html", _experiment(request, shared))


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
    if scores_on_test(experiment.official_metric, declared_metrics(experiment.document)):
        raise Http404
    read = read_parts(shared.access, experiment)
    parts = SealedParts(**{field.name: getattr(read, field.name) for field in fields(read)})
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
