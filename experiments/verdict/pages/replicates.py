"""Page of the replicates: declaring a replication, and its seeds as they come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from experiments.design.queries.experiments import find_experiment
from experiments.design.queries.records import AnyReplication, ReplicationRecord
from experiments.team.pages.access import attempted, in_project, required, whole_number
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.queries.change_marker import change_marker
from experiments.trials.pages.live_cursor import marks, read_cursor, write_cursor
from experiments.verdict.evidence.evidence import evaluate
from experiments.verdict.pages.candidates import asked, to_page
from experiments.verdict.pages.declaring import declaration_context, declare
from experiments.verdict.pages.measuring import measuring
from experiments.verdict.pages.page_context import shared_context
from experiments.verdict.panels.evidence_view import evidence_page
from experiments.verdict.panels.path_context import PathContext, path_context
from experiments.verdict.panels.replication_forms import SCORE_RULES, ReplicationForm
from experiments.verdict.queries.replication_state import find_replication
from experiments.verdict.services import replications
from experiments.verdict.services.replications import MOST_CANDIDATES


@require_http_methods(["GET", "HEAD", "POST"])
@in_project
def seeds_page(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """The seeds of the newest replication; a POST declares one."""
    parts = path_context(access, required(find_experiment(access, name)), candidate=asked(request))
    form = ReplicationForm(request.POST or None)
    if request.method == "POST":
        if form.is_valid() and declare(request, parts, form):
            return redirect("seeds", access.slug, name)
        for field, wrong in form.reasons():
            messages.error(request, f"{field}: {wrong}")
    ticked = _ticked(request)
    if ticked and not _may_declare(parts):
        messages.warning(request, _OPEN if parts.replication else _NO_SCORE)
    words, _ = marks(change_marker(parts.experiment))
    context = {
        **shared_context(parts),
        **_replication_context(parts),
        **(declaration_context(parts, form, ticked) if _may_declare(parts) else {}),
        "cursor": write_cursor(words, "", ""),
    }
    return render(request, "experiments/seeds.html", context)


_OPEN = (
    "These runs cannot be repeated yet: a replication of this experiment is open. Decide it first."
)
_NO_SCORE = "These runs cannot be repeated yet: no trial of this experiment has a score."


def _ticked(request: HttpRequest) -> list[int]:
    """Ids of the runs that the address chooses as candidates."""
    texts = request.GET.get("trials", "").split(",")[:MOST_CANDIDATES]
    return [int(text) for text in texts if text.isdecimal() and len(text) < 16]


def _may_declare(parts: PathContext) -> bool:
    state = parts.replication
    replaceable = state is None or state.all_decided or state.retrospective
    return bool(replaceable and parts.experiment.best_trial_id)


def _replication_context(parts: PathContext) -> dict[str, Any]:
    state = parts.replication
    if state is None:
        return {"replication": None}
    replication = required(find_replication(parts.access, parts.experiment, state.id))
    evidence = evaluate(replication)
    # Between two looks nothing but the seeds: no test, no interval, no mean.
    page = evidence_page(evidence.document(), judged=evidence.verdict is not None)
    return {
        "replication": state,
        "evidence": page,
        "outcome": evidence.outcome,
        "waiting": evidence.waiting,
        # Only workers measure: they have a training function.
        "measuring": None
        if parts.experiment.is_from_outside
        else measuring(parts.experiment, replication.candidate),
        "accidents": evidence.accidents,
        "score_rule": SCORE_RULES.get(replication.score_rule, replication.score_rule),
        "done": state.replicates_done,
        "total": 2 * state.pairs_queued,
    }


@require_safe
@in_project
def seeds_live(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """The seeds that have come in meanwhile."""
    experiment = required(find_experiment(access, name))
    state = change_marker(experiment)
    words, _ = marks(state)
    if read_cursor(request.GET.get("since", "")).words == words:
        return HttpResponse(status=204)
    parts = path_context(access, experiment, candidate=asked(request))
    context = {**shared_context(parts), **_replication_context(parts)}
    fragments = {
        "path": render_to_string("experiments/_path.html", context, request),
        "seeds": render_to_string("experiments/_seeds.html", context, request),
    }
    since = write_cursor(words, "", "")
    return JsonResponse({"parts": fragments, "since": since, "again": state.moving})


@require_POST
@in_project
def continue_seeds(
    request: HttpRequest, access: Access, name: str, replication: int
) -> HttpResponse:
    """Queue the pairs of the next declared look, after an undecided one."""
    declared = _declared(access, name, replication)
    return _queued(
        request,
        access,
        name,
        lambda: replications.continue_to_next_look(access=access, replication=declared),
    )


@require_POST
@in_project
def extra_seeds(request: HttpRequest, access: Access, name: str, replication: int) -> HttpResponse:
    """Queue pairs beyond the declared looks; from then on everything is called after peeking."""
    declared = _declared(access, name, replication)
    pairs = whole_number(request.POST.get("pairs"), 0)
    return _queued(
        request,
        access,
        name,
        lambda: replications.add_extra_look(access=access, replication=declared, pairs=pairs),
    )


@require_POST
@in_project
def repeat_accidents(
    request: HttpRequest, access: Access, name: str, replication: int
) -> HttpResponse:
    """Queue replicates that failed by accident again, with the same seeds."""
    declared = _declared(access, name, replication)
    count = attempted(
        request, lambda: replications.repeat_failed(access=access, replication=declared)
    )
    if count:
        messages.success(request, f"{count} queued again with the same seeds.")
    return to_page(request, "seeds", access, name)


def _declared(access: Access, name: str, number: int) -> ReplicationRecord:
    experiment = required(find_experiment(access, name))
    return required(find_replication(access, experiment, number))


def _queued(
    request: HttpRequest, access: Access, name: str, queue: Callable[[], AnyReplication]
) -> HttpResponse:
    queued = attempted(request, queue)
    if queued is None:
        return to_page(request, "decide", access, name)
    messages.success(request, f"Queued: {queued.pairs_queued} pairs in all.")
    return to_page(request, "seeds", access, name)
