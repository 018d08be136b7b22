"""Pages that control a running experiment: limits, pause with hand-back, cancel."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from experiments.design.queries.experiments import find_experiment, get_experiment
from experiments.design.trial_names import parse_trial_name
from experiments.errors import NotAllowed, NotFound, VerdictError
from experiments.team.pages.access import attempted, done, in_project, required
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.queries import gpu_hours
from experiments.trials.lifecycle.queries.waiting import accidents, why_waiting
from experiments.trials.lifecycle.services import control, experiments
from experiments.trials.panels.parts import ExperimentParts, read_parts
from experiments.trials.table.queries.trial_detail import find_trial
from experiments.web.form_refusals import SaysRefusals


class ControlForm(SaysRefusals):
    """Trials at a time, priority and trials per arm; a cap on GPU hours where GPUs are asked for.

    An empty cap is none.
    """

    parallel = forms.IntegerField(label="Trials at a time", min_value=1, max_value=1000)
    priority = forms.IntegerField(
        label="Priority",
        min_value=-1000,
        max_value=1000,
        help_text="Higher priority runs first; equals take turns.",
    )
    per_arm = forms.IntegerField(label="Trials per arm", min_value=1, max_value=1_000_000)
    gpu_hours = forms.FloatField(
        label="At most GPU hours",
        required=False,
        min_value=0.01,
        help_text="No new trials start beyond it. Empty: no cap of its own.",
    )


@require_http_methods(["GET", "HEAD", "POST"])
@in_project
def control_page(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Page of an experiment's worker settings."""
    parts = _editable(access, name)
    budget = max((arm.budget or 0 for arm in parts.arms), default=0)
    form = _form(request, parts, budget)
    if request.method == "POST" and form.is_valid():
        try:
            _apply(request, parts, form, budget)
        except (NotAllowed, NotFound):
            raise
        except VerdictError as error:
            form.say(error)
        else:
            messages.success(request, "Saved. Running trials continue.")
            return redirect("experiment", access.slug, name)
    context = {
        "project": parts.access,
        "section": "experiments",
        "experiment": parts.experiment,
        "arms": parts.arms,
        "waits": why_waiting(parts.experiment, parts.tally.running),
        "form": form,
        "accidents": accidents(parts.experiment.pk),
        "used": gpu_hours.of_experiment(parts.experiment.pk) if parts.experiment.gpus else None,
        "cap": gpu_hours.cap_of(parts.experiment) if parts.experiment.gpus else None,
    }
    return render(request, "experiments/control.html", context, status=400 if form.errors else 200)


def _form(request: HttpRequest, parts: ExperimentParts, budget: int) -> ControlForm:
    experiment = parts.experiment
    form = ControlForm(
        request.POST if request.method == "POST" else None,
        initial={
            "parallel": experiment.parallel,
            "priority": experiment.priority,
            "per_arm": budget,
            "gpu_hours": experiment.gpu_hours_cap,
        },
        label_suffix="",
    )
    if not experiment.gpus:
        del form.fields["gpu_hours"]
    return form


def _apply(request: HttpRequest, parts: ExperimentParts, form: ControlForm, budget: int) -> None:
    given = form.cleaned_data
    with transaction.atomic():  # all of it or nothing
        if given["per_arm"] != budget:
            control.set_budget(
                access=parts.access, experiment=parts.experiment, per_arm=given["per_arm"]
            )
        control.change(
            access=parts.access,
            experiment=parts.experiment,
            parallel=given["parallel"],
            priority=given["priority"],
            gpu_hours=given.get("gpu_hours") if parts.experiment.gpus else "keep",
        )


@require_POST
@in_project
def hand_back(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Pause, and give running trials back to the queue."""
    parts = _editable(access, name)
    done(
        request,
        lambda: control.pause(access=access, experiment=parts.experiment, hand_back=True),
        "Paused. Running trials are handed back within seconds.",
    )
    return redirect("experiment", access.slug, name)


@require_POST
@in_project
def retry_failed(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Queue all trials again that failed by accident."""
    parts = _editable(access, name)
    made = attempted(
        request,
        lambda: control.retry_failed(access=access, experiment=parts.experiment),
    )
    if made:
        some = "1 trial is" if made == 1 else f"{made} trials are"
        messages.success(request, f"{some} queued again with the same parameters and seeds.")
    return redirect("experiment", access.slug, name)


@require_POST
@in_project
def cancel_trial(request: HttpRequest, access: Access, name: str, trial: str) -> HttpResponse:
    """End one trial now."""
    experiment = get_experiment(access, name)
    found = required(find_trial(experiment, required(parse_trial_name(trial))))
    done(
        request,
        lambda: control.cancel(access=access, trial=found),
        "The trial ends within seconds.",
    )
    return redirect("trial", access.slug, name, trial)


def experiment_button(act: Callable[..., object], message: str) -> Callable[..., HttpResponseBase]:
    """A button of the experiment's page: act, say so, come back."""

    @require_POST
    @in_project
    def view(request: HttpRequest, access: Access, name: str) -> HttpResponse:
        experiment = get_experiment(access, name)
        done(request, lambda: act(access=access, experiment=experiment), message)
        return redirect("experiment", access.slug, name)

    return view


stop = experiment_button(
    experiments.stop, "The search ends: running trials stop at their next evaluation."
)
pause = experiment_button(experiments.pause, "Paused. Running trials finish; no new ones start.")
resume = experiment_button(experiments.resume, "The search goes on.")


def _editable(access: Access, name: str) -> ExperimentParts:
    parts = read_parts(access, required(find_experiment(access, name)))
    if parts.file is None:
        raise NotFound("A program described this experiment; only that program runs its trials.")
    if not access.can_edit:
        raise NotAllowed(f"Only an editor may do this; your role is {access.role}.")
    return parts
