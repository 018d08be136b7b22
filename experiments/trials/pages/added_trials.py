"""Pages that add trials to a search: a configuration, more budget, a retry, a grid."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from experiments.design.follow_ups import refinement
from experiments.design.follow_ups.refinement import GoodRegion
from experiments.design.queries.experiments import find_experiment
from experiments.design.queries.records import TrialRecord
from experiments.design.space.search_space import Hyperparameter
from experiments.design.trial_names import parse_trial_name
from experiments.errors import InvalidExperiment, NotAllowed, NotFound, VerdictError
from experiments.team.pages.access import attempted, in_project, required
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.queries.added_trials import experiment_names, searched_values
from experiments.trials.lifecycle.services import added_trials, experiments
from experiments.trials.pages.added_trial_forms import BudgetForm, ConfigurationForm, GridForm
from experiments.trials.panels.parts import ExperimentParts, read_parts
from experiments.trials.table.queries.trial_detail import find_trial, name_of


@require_safe
@in_project
def add_page(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Page that adds trials to a search."""
    return _page(request, _editable(access, name))


@require_POST
@in_project
def try_configuration(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Queue a configuration of a person's own."""
    parts = _editable(access, name)
    form = _configuration_form(parts, request)
    if form.is_valid():
        try:
            made = added_trials.try_configuration(
                access=access,
                experiment=parts.experiment,
                parameters=form.parameters,
                arm=form.arm,
            )
        except InvalidExperiment as error:
            form.say(error.problems)
        else:
            where = f" in {len(made)} arms" if len(made) > 1 else ""
            messages.success(request, f"The configuration is queued{where}.")
            return redirect("experiment", access.slug, name)
    return _page(request, parts, configuration=form)


@require_POST
@in_project
def extend_budget(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Let the sampler go on to so many trials in every arm."""
    parts = _editable(access, name)
    form = BudgetForm(request.POST, label_suffix="")
    if form.is_valid():
        try:
            added = added_trials.extend_budget(
                access=access,
                experiment=parts.experiment,
                per_arm=form.cleaned_data["per_arm"],
            )
        except (NotAllowed, NotFound):
            raise
        except VerdictError as error:
            form.say(error)
        else:
            messages.success(request, f"{added} more trials are to come.")
            return redirect("experiment", access.slug, name)
    return _page(request, parts, budget=form)


@require_POST
@in_project
def refine(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Make the grid over the good region: a new experiment that extends this one."""
    parts = _editable(access, name)
    form = GridForm(request.POST)
    insist = form.is_valid() and form.cleaned_data["insist"]
    try:
        text = refinement.grid_file(
            parts.experiment, taken=experiment_names(parts.experiment), insist=insist
        )
        made = experiments.create(
            access=access,
            text=text,
            extends=parts.experiment,
        )
    except (NotAllowed, NotFound):
        raise
    except VerdictError as error:
        form.say(error)
        return _page(request, parts, grid=form)
    messages.success(request, f"{made.name} started: a grid where {name} was best.")
    return redirect("experiment", access.slug, made.name)


@require_POST
@in_project
def retry(request: HttpRequest, access: Access, name: str, trial: str) -> HttpResponse:
    """Queue a failed trial again, with the same row, parameters and seeds."""
    parts = _editable(access, name)
    failed = _find(parts, trial)
    made = attempted(
        request,
        lambda: added_trials.retry(
            access=access,
            trial=failed,
        ),
    )
    if made is None:
        return redirect("trial", access.slug, name, trial)
    messages.success(request, "Queued again with the same parameters and seeds.")
    return redirect("experiment", access.slug, name)


def _editable(access: Access, name: str) -> ExperimentParts:
    """The parts of an experiment to which this person may add trials."""
    parts = read_parts(access, required(find_experiment(access, name)))
    if parts.file is None:
        raise NotFound("A program described this experiment; only that program adds trials.")
    if not access.can_edit:
        raise NotAllowed(f"Only an editor may add trials; your role is {access.role}.")
    return parts


def _find(parts: ExperimentParts, name: str) -> TrialRecord:
    return required(find_trial(parts.experiment, required(parse_trial_name(name))))


def _page(
    request: HttpRequest,
    parts: ExperimentParts,
    *,
    configuration: ConfigurationForm | None = None,
    budget: BudgetForm | None = None,
    grid: GridForm | None = None,
) -> HttpResponse:
    refused = configuration or budget or grid
    asked = request.GET.get("trial", "")
    like = _find(parts, asked) if asked else parts.experiment.best_trial
    most = max((arm.budget or 0 for arm in parts.arms), default=0)
    context = {
        "project": parts.access,
        "section": "experiments",
        "experiment": parts.experiment,
        "arms": parts.arms,
        "ended": parts.experiment.state in ("finished", "stopped"),
        "configuration": configuration or _configuration_form(parts, None, like),
        "like": name_of(like, len(parts.arms)) if like else "",
        "budget": budget
        or BudgetForm(initial={"per_arm": most + max(1, most // 2)}, label_suffix=""),
        "held": most,
        "grid": grid,
        **_region_context(parts, asked_for=grid is not None),
    }
    return render(request, "experiments/add.html", context, status=400 if refused else 200)


def _configuration_form(
    parts: ExperimentParts, request: HttpRequest | None, like: TrialRecord | None = None
) -> ConfigurationForm:
    return ConfigurationForm(
        request.POST if request else None,
        searched=_searched(parts),
        arms=[(arm.index, f"{arm.letter}: {arm.label}") for arm in parts.arms],
        values=searched_values(like) if like else None,
        arm=like.study.arm_index if like else None,
    )


def _searched(parts: ExperimentParts) -> tuple[Hyperparameter, ...]:
    """Hyperparameters that any arm searches, in the file's order."""
    if parts.file is None:
        return ()
    return tuple(parts.file.space[name] for name in parts.parameters)


def _region_context(parts: ExperimentParts, *, asked_for: bool) -> dict[str, Any]:
    """The good region, or why there is none, for searches that looked everywhere."""
    if not asked_for and not refinement.may_refine(parts.experiment):
        return {"refinable": False}
    try:
        region: GoodRegion | None = refinement.good_region(parts.experiment)
        refusal = ""
    except VerdictError as error:
        region, refusal = None, error.message
    return {"refinable": True, "region": region, "no_region": refusal}
