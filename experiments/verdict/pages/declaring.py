"""Declaring a replication: what is compared, when it is looked at, and what that can show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from experiments.analysis.seeds.guards import BOUNDS
from experiments.analysis.seeds.looks import plan
from experiments.design.queries.experiments import find_experiment
from experiments.design.queries.records import ExperimentRecord
from experiments.design.queries.time_left import look_time
from experiments.team.pages.access import attempted, in_project, required
from experiments.team.queries.access import Access
from experiments.trials.panels.parts import ExperimentParts
from experiments.verdict.evidence.planning import Planning, plan_ahead
from experiments.verdict.evidence.replicate_readings import COST_GUARDS
from experiments.verdict.panels.replication_forms import (
    PRESETS,
    SCORE_RULES,
    PowerForm,
    ReplicationForm,
    RetrospectiveForm,
    TaggedRunsForm,
)
from experiments.verdict.queries.configuration_runs import repeated_configurations, repeated_tags
from experiments.verdict.queries.current_champion import champion_of
from experiments.verdict.queries.replication_state import (
    Choosable,
    best_of_each_arm,
    best_trials,
    chosen_trials,
    find_choosable,
    guard_metrics,
)
from experiments.verdict.services import replications, retrospective
from experiments.verdict.services.replications import DEFAULT_LOOKS


def declaration_context(
    parts: ExperimentParts, form: ReplicationForm, ticked: Sequence[int] = ()
) -> dict[str, Any]:
    """Context of the form; a form that was refused keeps what was typed.

    `ticked`: runs that are chosen as candidates; of two without a champion the worse one is the
    baseline.
    """
    experiment = parts.experiment
    champion = champion_of(experiment.project_id)
    sides = _sides(parts, form, ticked, champion.digest if champion else "")
    typed = form.data if form.is_bound else {}
    looks = typed.get("looks", ", ".join(map(str, DEFAULT_LOOKS)))
    count = 1 + len(sides["further"])
    planned = {"looks": looks, "margin": typed.get("margin"), "candidates": count}
    return {
        "may_declare": True,
        "form": form,
        **sides,
        "champion": champion,
        "presets": PRESETS,
        "looks": looks,
        "score_rules": SCORE_RULES,
        "bounds": BOUNDS,
        "repeated": repeated_configurations(experiment) if experiment.is_from_outside else (),
        "tags": repeated_tags(experiment) if experiment.is_from_outside else (),
        "guard_metrics": dict.fromkeys(guard_metrics(experiment), "") | COST_GUARDS,
        **_planning_context(experiment, planned),
    }


def _sides(
    parts: ExperimentParts, form: ReplicationForm, ticked: Sequence[int], champion: str
) -> dict[str, Any]:
    """Trials offered for each side, and those that are chosen."""
    experiment, arms = parts.experiment, len(parts.arms)
    chosen = chosen_trials(experiment, arms, ticked, champion=champion) if ticked else ()
    candidates = _each_once([*chosen, *best_trials(experiment, arms, champion=champion)])
    baselines = [] if champion else _each_once([*best_of_each_arm(experiment, arms), *chosen])
    first = _number(form.data.get("candidate")) or (candidates[0].id if candidates else 0)
    baseline = _number(form.data.get("baseline"))
    if not champion and not baseline and len(chosen) == 2:
        baseline, chosen = chosen[1].id, chosen[:1]
    further = {_number(text) for text in form.further} or {trial.id for trial in chosen[1:]}
    others = (trial.id for trial in baselines if trial.id not in {first, *further})
    return {
        "candidates": candidates,
        "first_candidate": first,
        "further": further,
        "baselines": baselines,
        "first_baseline": baseline or next(others, 0),
    }


def _each_once(trials: Sequence[Choosable]) -> list[Choosable]:
    return list({trial.id: trial for trial in trials}.values())


def _planning_context(experiment: ExperimentRecord, typed: dict[str, Any]) -> dict[str, Any]:
    """Power of a schedule, and how long it takes until each of its looks."""
    planning = _planning(experiment, typed)
    if planning is None:
        return {"planning": None, "takes": {}}
    takes = {
        gain.pairs: look_time(experiment, gain.pairs, candidates=planning.candidates)
        for gain in planning.detectable
    }
    return {"planning": planning, "takes": takes}


def _number(text: object) -> int:
    return int(text) if isinstance(text, str) and text.isdecimal() and len(text) < 18 else 0


def _planning(experiment: ExperimentRecord, typed: dict[str, Any]) -> Planning | None:
    """Power of a schedule as typed; None while it is none."""
    form = PowerForm(typed)
    if not form.is_valid():
        return None
    cleaned = form.cleaned_data
    margin = experiment.margin if cleaned["margin"] is None else cleaned["margin"]
    count = cleaned["candidates"] or 1
    return plan_ahead(experiment, plan(cleaned["looks"]), margin=margin, candidates=count)


@require_safe
@in_project
def power(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Power of the schedule in the address: a fragment beside the form."""
    experiment = required(find_experiment(access, name))
    typed = {key: request.GET.get(key) for key in ("looks", "margin", "candidates")}
    form = PowerForm(typed)
    wrong = [] if form.is_valid() else [f"{name}: {wrong}" for name, wrong in form.reasons()]
    context = {**_planning_context(experiment, typed), "wrong": wrong, "experiment": experiment}
    return render(request, "experiments/_power.html", context)


@require_POST
@in_project
def compare_existing(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Compare runs that exist; their page says on every sentence that it is retrospective."""
    experiment = required(find_experiment(access, name))
    tagged = "tags" in request.POST
    form = TaggedRunsForm(request.POST) if tagged else RetrospectiveForm(request.POST)
    if not form.is_valid():
        for field, wrong in form.reasons():
            messages.error(request, f"{field}: {wrong}")
        return redirect("seeds", access.slug, name)
    attempted(
        request,
        lambda: retrospective.compare(access=access, experiment=experiment, **form.cleaned_data),
    )
    return redirect("seeds", access.slug, name)


def declare(request: HttpRequest, parts: ExperimentParts, form: ReplicationForm) -> bool:
    """Declare what the form says; False after saying why not."""
    cleaned = form.cleaned_data
    experiment = parts.experiment
    candidate = required(find_choosable(experiment, cleaned["candidate"]))
    further = [
        required(find_choosable(experiment, trial))
        for trial in dict.fromkeys(cleaned["further"])
        if trial != cleaned["candidate"]
    ]
    baseline = None
    if cleaned["baseline"] and champion_of(experiment.project_id) is None:
        baseline = required(find_choosable(experiment, cleaned["baseline"]))
    made = attempted(
        request,
        lambda: replications.declare(
            access=parts.access,
            experiment=experiment,
            candidate_trial=candidate,
            further_candidates=further,
            baseline_trial=baseline,
            looks=cleaned["looks"],
            margin=cleaned["margin"],
            score_rule=cleaned["score_rule"],
            guards=cleaned["guards"],
        ),
    )
    if made is None:
        return False
    of_each = f", {made.candidates} candidates" if made.candidates > 1 else ""
    what = "declared" if experiment.is_from_outside else "queued"
    messages.success(request, f"{made.pairs_queued} pairs are {what}{of_each}, with fresh seeds.")
    return True
