"""Pages of batch-size measurements: request, progress, results."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from experiments.design.batch_size_plan import LARGEST, MOST_STEPS, ProbePlan
from experiments.design.queries.experiments import get_experiment
from experiments.errors import NotAllowed, NotFound, VerdictError
from experiments.team.pages.access import done, in_project
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.queries.batch_sizes import measurable, measurements
from experiments.trials.lifecycle.services import batch_sizes
from experiments.web.form_refusals import SaysRefusals

_PLAN = ProbePlan()


class BatchSizeForm(SaysRefusals):
    """Function, name of its batch size, sizes to measure, and steps of each."""

    experiment = forms.ChoiceField(
        label="Training function of",
        help_text="Its first known-good configuration, else the middle of its search space.",
    )
    parameter = forms.CharField(
        label="Parameter that is the batch size", initial=_PLAN.parameter, max_length=100
    )
    first = forms.IntegerField(
        label="First size", initial=_PLAN.first, min_value=1, max_value=LARGEST
    )
    largest = forms.IntegerField(
        label="Largest size", initial=_PLAN.largest, min_value=1, max_value=LARGEST
    )
    steps = forms.IntegerField(
        label="Steps timed at each size",
        initial=_PLAN.steps,
        min_value=3,
        max_value=MOST_STEPS,
    )

    def __init__(self, *args: object, names: Sequence[str], **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        self.label_suffix = ""
        field = self.fields["experiment"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(name, name) for name in names]


@require_http_methods(["GET", "HEAD", "POST"])
@in_project
def batch_size_page(request: HttpRequest, access: Access) -> HttpResponse:
    """Examples a second, step time and peak memory at each size, and the answer in words."""
    if request.method == "POST" and not access.can_edit:
        raise NotAllowed(f"Only an editor may measure; your role is {access.role}.")
    form = _form(request, access)
    if request.method == "POST" and form.is_valid() and _ask(request, access, form):
        return redirect("batch_sizes", access.slug)
    context = {**_context(access), "form": form}
    if any(measurement.is_open for measurement in context["measurements"]):
        context["cursor"] = _mark(request, context)
    return render(request, "projects/batch_size.html", context, status=400 if form.errors else 200)


@require_safe
@in_project
def batch_sizes_live(request: HttpRequest, access: Access) -> HttpResponse:
    """News for the open page: nothing (204) while it reads the same."""
    context = _context(access)
    mark = _mark(request, context)
    if mark == request.GET.get("since"):
        return HttpResponse(status=204)
    again = any(measurement.is_open for measurement in context["measurements"])
    parts = {"measurements": _measurements_html(request, context)}
    return JsonResponse({"since": mark, "again": again, "parts": parts})


@require_POST
@in_project
def cancel_batch_size(request: HttpRequest, access: Access, probe: int) -> HttpResponse:
    """End a measurement; what it has measured stays."""
    done(
        request,
        lambda: batch_sizes.cancel(access=access, probe_id=probe),
        "The measurement ends within seconds.",
    )
    return redirect("batch_sizes", access.slug)


def _form(request: HttpRequest, access: Access) -> BatchSizeForm:
    names = measurable(access.project_id)
    if request.method == "POST":
        return BatchSizeForm(request.POST, names=names)
    return BatchSizeForm(names=names, initial={"experiment": request.GET.get("experiment")})


def _ask(request: HttpRequest, access: Access, form: BatchSizeForm) -> bool:
    given = form.cleaned_data
    experiment = get_experiment(access, given.pop("experiment"))
    try:
        batch_sizes.ask(
            access=access,
            experiment=experiment,
            **given,
        )
    except (NotAllowed, NotFound):
        raise
    except VerdictError as error:
        form.say(error)
        return False
    messages.success(request, "A worker measures as soon as it has a slot free.")
    return True


def _context(access: Access) -> dict[str, Any]:
    found = measurements(access.project_id)
    return {"project": access, "section": "experiments", "measurements": found}


def _measurements_html(request: HttpRequest, context: dict[str, Any]) -> str:
    return render_to_string("projects/_measurements.html", context, request)


def _mark(request: HttpRequest, context: dict[str, Any]) -> str:
    """Of what is measured, not of the words for how long ago it was."""
    return hashlib.sha256(repr(context["measurements"]).encode()).hexdigest()[:16]
