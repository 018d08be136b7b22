"""The form that is the file: write an experiment, see what is wrong with it, start it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods, require_POST

from experiments.design.document import commands, examples
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.document.file_fields import is_unfinished
from experiments.design.document.objectives import is_allowed
from experiments.design.document.presets import all_presets
from experiments.design.pages.space_rows import state_of_form
from experiments.design.queries.experiments import copyable, find_experiment, free_name
from experiments.design.queries.offers import offered
from experiments.design.queries.records import ExperimentRecord
from experiments.design.queries.time_left import trial_time
from experiments.design.review.design_review import DesignChecks, Review, considerations, review
from experiments.design.yaml_editing.yaml_editing import flow, load, updated
from experiments.errors import InvalidExperiment, Problem, VerdictError
from experiments.team.pages.access import in_project, required, whole_number
from experiments.team.queries.access import Access, people_who_may
from experiments.trials.findings.queries.asked_followup import asked_proposal
from experiments.trials.lifecycle.queries.dry_runs import DryRun, find_dry_run
from experiments.trials.lifecycle.queries.objective_checks import unchecked
from experiments.trials.lifecycle.services import dry_runs, experiments, objective_checks
from experiments.trials.pages.followups import followed
from experiments.web.formatting import time_range

LONGEST = 200_000
BLANK = """\
project: {slug}
experiment:
goal:
objective:
metrics:
  {metric}: {{official: true, direction: {direction}}}
search: {{sampler: halton, trials: 24, parallel: 2, seed: 0}}   # trials: of each arm
hyperparameters:
"""


def checks_html(checks: DesignChecks | None) -> str:
    """The panel as the page shows it; None while the file cannot run."""
    return render_to_string("experiments/_design_checks.html", {"checks": checks})


@require_http_methods(["GET", "HEAD", "POST"])
@in_project
def new_experiment_page(request: HttpRequest, access: Access) -> HttpResponse:
    """Page of a new experiment: its file, its form and the design checks."""
    extends = request.GET.get("extends", "")
    older = required(find_experiment(access, extends)) if extends else None
    text = request.POST.get("text", "")
    problems: tuple[Problem, ...] = ()
    message = ""
    if request.method == "POST":
        text = text.replace("\r\n", "\n")
        try:
            if "try" in request.POST:
                dry_run = dry_runs.start(access=access, text=text)
                return redirect("dry_run", access.slug, dry_run)
            made = experiments.create(access=access, text=text)
        except VerdictError as error:
            if error.status in (403, 404) and not error.problems:
                raise
            message, problems = error.message, error.problems
        else:
            messages.success(request, f"{made.name} started; its trials are queued.")
            return redirect("experiment", access.slug, made.name)
    elif older is not None:
        text, message = _follow_up(request, older)
    else:
        text = _beginning(request, access)
    seen = review(text, access)
    context = {
        "project": access,
        "section": "experiments",
        "text": text,
        "message": message,
        "problems": problems,
        "extends": older,
        **_starts(access),
        "form_state": state_of_form(access, text),
        "checks": seen.checks,
        "price": _price(access, seen.file),
        "presets": all_presets(),
        "modules": settings.OBJECTIVES,
        "commands": commands.listed(),
        "followed": followed(access, seen.file),
        "editors": () if access.can_edit else people_who_may(access.project_id, "editor"),
    }
    return render(request, "experiments/new.html", context, status=400 if problems else 200)


def _beginning(request: HttpRequest, access: Access) -> str:
    """The bundled example that the address names, as this project's; a blank file without one."""
    tried = request.GET.get("tried", "")
    if tried:
        return _as_tried(request, required(find_dry_run(access, whole_number(tried))))
    name = request.GET.get("example", "")
    if name:
        example = required(examples.find(name))
        own = {"project": access.slug, "experiment": free_name(access.project_id, example.name)}
        return updated(example.text, {**load(example.text), **own})
    metric = flow(access.official_metric)
    return BLANK.format(slug=access.slug, metric=metric, direction=access.direction)


def _as_tried(request: HttpRequest, dry_run: DryRun) -> str:
    """The file of a dry run, without metrics that its trial did not log."""
    document = load(dry_run.text)
    official = next((metric.name for metric in dry_run.series if metric.official), "")
    if dry_run.state != "done" or not isinstance(document.get("metrics"), dict) or not official:
        return dry_run.text
    named = document["metrics"]
    logged = {name: named[name] for name in named if name in (official, *dry_run.names)}
    absent = [str(name) for name in named if name not in logged]
    if not absent:
        return dry_run.text
    messages.info(request, f"Taken out, as the trial did not log it: {', '.join(absent)}.")
    return updated(dry_run.text, {**document, "metrics": logged})


def _starts(access: Access) -> dict[str, Any]:
    """Files to begin with: examples, with those that fit the project's metric first, and earlier
    experiments.
    """
    own = (access.official_metric, access.direction)
    listed = [
        example
        for example in examples.all_examples()
        if is_allowed(example.objective, settings.OBJECTIVES)
    ]
    fitting = [example for example in listed if (example.metric, example.direction) == own]
    return {
        "examples": fitting,
        "other_examples": [example for example in listed if example not in fitting],
        "copies": copyable(access),
        "objectives": offered(),
    }


def _follow_up(request: HttpRequest, older: ExperimentRecord) -> tuple[str, str]:
    """The file that the address asks for, and what to know of it.

    Where the follow-up is refused: a clone, beside the reason.
    """
    try:
        proposal = asked_proposal(older, request.GET.dict())
        if proposal.refused:
            messages.warning(request, proposal.refused)
            proposal = asked_proposal(older, {"follow": "clone"})
        elif proposal.why:
            messages.info(request, proposal.why)
    except InvalidExperiment as error:
        return "", error.message
    return proposal.text, ""


@require_POST
@in_project
def check_experiment(request: HttpRequest, access: Access) -> JsonResponse:
    """Errors of a file while it is being written; what it would run when there are none."""
    text = request.POST.get("text", "")[: LONGEST + 1]
    found = review(text, access)
    answer: dict[str, Any] = {"ok": not found.error}
    if found.error:
        listed = [
            {
                "where": problem.where,
                "message": problem.message,
                "unfinished": is_unfinished(problem),
            }
            for problem in found.problems
        ]
        answer |= {"error": found.error, "problems": listed}
        title = "Still to fill in" if found.unfinished else found.error
        verdict = "unfinished" if found.unfinished else "failed"
        answer |= {"title": title, "verdict": verdict, "objective": ""}
    else:
        follows = followed(access, found.file)
        answer |= {"design": found.design, "difference": follows.sentences() if follows else []}
        answer |= _objective(access, found)
    rules = [asdict(seen) for seen in considerations(found.checks)] if found.checks else []
    answer |= {"checks": checks_html(found.checks), "price": _price(access, found.file)}
    return JsonResponse({**answer, "rules": rules})


def _price(access: Access, file: ExperimentFile | None) -> str:
    """Price of a dry run of the file, as the page says beside its button."""
    if file is None:
        return ""
    takes = trial_time(access.project_id, file.objective)
    if takes is None:
        return "One trial; its time is not known, as no trial of this objective has completed."
    return f"One trial, {time_range(takes.low, takes.high)} of a worker's time."


TITLES = {
    "passed": "This can run",
    "failed": "The objective cannot run",
    "pending": "The file is valid; its objective is being checked",
    "unchecked": "The file is valid; its objective is not checked",
}


def _objective(access: Access, found: Review) -> dict[str, Any]:
    """A worker's report on the objective of a valid file; asked for by those who may start it."""
    assert found.file is not None
    if access.can_edit:
        report = objective_checks.check(access=access, file=found.file)
    else:
        report = unchecked("An editor may have a worker import it.")
    markup = render_to_string("experiments/_objective_check.html", {"report": report})
    return {"title": TITLES[report.state], "verdict": report.state, "objective": markup}
