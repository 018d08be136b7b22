"""The Seeds page: how sure are we? Declaring a repetition, and its seeds as they come in."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from experiments.analysis.looks import plan
from experiments.errors import VerdictError
from experiments.evidence import gather as gather_evidence
from experiments.planning import plan_ahead
from experiments.forms.repetition import PRESETS, SCORE_RULES, RepetitionForm
from experiments.queries.access import Access
from experiments.queries.experiments import find_experiment
from experiments.queries.live import pulse
from experiments.queries.projects import champion_of
from experiments.queries.seeds import (
    best_of_each_arm,
    best_trials,
    find_choosable,
    find_repetition,
)
from experiments.services import replications
from experiments.views.evidence_view import evidence_page
from experiments.views.experiment_parts import ExperimentParts, gather, shared_context
from experiments.views.guard import attempted, explain, in_project, required
from experiments.views.live import marks, read_cursor, write_cursor
from experiments.views.measuring import measuring

DEFAULT_LOOKS = "10, 20, 30"


@require_http_methods(["GET", "HEAD", "POST"])
@in_project
def seeds_page(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """The seeds of the newest repetition; a POST declares one."""
    parts = gather(access, required(find_experiment(access, name)))
    form = RepetitionForm(request.POST or None)
    if request.method == "POST":
        if form.is_valid() and _declare(request, parts, form):
            return redirect("seeds", access.slug, name)
        for field, wrong in form.reasons():
            messages.error(request, f"{field}: {wrong}")
    words, _ = marks(pulse(parts.experiment))
    context = {
        **shared_context(parts),
        **_repetition_context(parts),
        **(_declaration_context(parts, form) if _may_declare(parts) else {}),
        "cursor": write_cursor(words, "", ""),
    }
    return render(request, "experiments/seeds.html", context)


def _may_declare(parts: ExperimentParts) -> bool:
    held = parts.repetition
    return (held is None or held.decision is not None) and parts.experiment.best_trial_id


def _repetition_context(parts: ExperimentParts) -> dict[str, Any]:
    held = parts.repetition
    if held is None:
        return {"repetition": None}
    replication = required(find_repetition(parts.access, parts.experiment.pk, held.id))
    evidence = gather_evidence(replication)
    # Between two looks nothing but the seeds: no test, no interval, no mean.
    page = evidence_page(evidence.document(), judged=evidence.verdict is not None)
    return {
        "repetition": held,
        "replication": replication,
        "evidence": page,
        "waiting": evidence.waiting,
        "measuring": measuring(parts.experiment, replication.candidate),
        "accidents": evidence.accidents,
        "score_rule": SCORE_RULES.get(replication.score_rule, replication.score_rule),
        "done": held.replicates_done,
        "total": 2 * held.pairs_queued,
    }


def _declaration_context(parts: ExperimentParts, form: RepetitionForm) -> dict[str, Any]:
    experiment, arms = parts.experiment, len(parts.arms)
    champion = champion_of(experiment.project_id)
    looks = form.data.get("looks", DEFAULT_LOOKS) if form.is_bound else DEFAULT_LOOKS
    candidates = best_trials(experiment, arms)
    baselines = () if champion else best_of_each_arm(experiment, arms)
    chosen = candidates[0].id if candidates else 0
    others = [each.id for each in baselines if each.id != chosen]
    return {
        "may_declare": True,
        "form": form,
        "candidates": candidates,
        "baselines": baselines,
        "first_baseline": others[0] if others else 0,
        "champion": champion,
        "presets": PRESETS,
        "looks": looks,
        "score_rules": SCORE_RULES,
        "planning": plan_ahead(experiment, plan((10, 20, 30)), margin=experiment.margin),
    }


def _declare(request: HttpRequest, parts: ExperimentParts, form: RepetitionForm) -> bool:
    told = form.cleaned_data
    experiment = parts.experiment
    candidate = required(find_choosable(experiment, told["candidate"]))
    baseline = None
    if told["baseline"] and champion_of(experiment.project_id) is None:
        baseline = required(find_choosable(experiment, told["baseline"]))
    made = attempted(
        request,
        lambda: replications.declare(
            user=request.user,  # type: ignore[arg-type]
            experiment=experiment,
            candidate_trial=candidate,
            baseline_trial=baseline,
            looks=told["looks"],
            margin=told["margin"],
            score_rule=told["score_rule"],
        ),
    )
    if made is None:
        return False
    messages.success(request, f"{made.pairs_queued} pairs are queued, each with fresh seeds.")
    return True


@require_safe
@in_project
def seeds_live(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """The seeds that have come in meanwhile."""
    experiment = required(find_experiment(access, name))
    held = pulse(experiment)
    words, _ = marks(held)
    if read_cursor(request.GET.get("since", "")).words == words:
        return HttpResponse(status=204)
    parts = gather(access, experiment)
    context = {**shared_context(parts), **_repetition_context(parts)}
    fragments = {
        "path": render_to_string("experiments/_path.html", context, request),
        "seeds": render_to_string("experiments/_seeds.html", context, request),
    }
    since = write_cursor(words, "", "")
    return JsonResponse({"parts": fragments, "since": since, "again": held.moving})


@require_POST
@in_project
def continue_seeds(
    request: HttpRequest, access: Access, name: str, repetition: int
) -> HttpResponse:
    """Queue the pairs of the next declared look, after an undecided one."""
    experiment = required(find_experiment(access, name))
    replication = required(find_repetition(access, experiment.pk, repetition))
    evidence = gather_evidence(replication)
    if evidence.verdict is None or not evidence.verdict.may_continue:
        explain(request, VerdictError("Only an undecided look leads on to the next one."))
        return redirect("decide", access.slug, name)
    held = attempted(
        request,
        lambda: replications.continue_to_next_look(
            user=request.user,  # type: ignore[arg-type]
            replication=replication,
        ),
    )
    if held is None:
        return redirect("decide", access.slug, name)
    messages.success(request, f"On to {held.pairs_queued} pairs.")
    return redirect("seeds", access.slug, name)


@require_POST
@in_project
def repeat_accidents(
    request: HttpRequest, access: Access, name: str, repetition: int
) -> HttpResponse:
    """Queue replicates that failed by accident again, with the same seeds."""
    experiment = required(find_experiment(access, name))
    replication = required(find_repetition(access, experiment.pk, repetition))
    count = attempted(
        request,
        lambda: replications.repeat_failed(
            user=request.user,  # type: ignore[arg-type]
            replication=replication,
        ),
    )
    if count:
        messages.success(request, f"{count} queued again with the same seeds.")
    return redirect("seeds", access.slug, name)
