"""The baseline of a project: run over seeds or known from before, entered as decision 0."""

from __future__ import annotations

import math
import re
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from experiments.decisions.queries import baseline_evidence
from experiments.decisions.queries.baselines import newest_baseline
from experiments.decisions.services import baselines
from experiments.design.document import experiment_yaml
from experiments.errors import Problem, VerdictError
from experiments.team.pages.access import attempted, in_project, required, whole_number
from experiments.team.queries.access import Access, people_who_may
from experiments.verdict.queries.current_champion import champion_of
from experiments.verdict.services import replications

EXAMPLE = """\
project: {slug}
experiment: baseline
goal: How good is the configuration we begin with?
objective: workers.problems.digits:train
metrics:   # chance: what a model reaches that knows nothing of the input; put yours
  {metric}: {{official: true, direction: {direction}, chance: {chance}}}
search: {{sampler: halton, trials: 1, parallel: 2, seed: 0}}
hyperparameters:
  learning_rate: {{role: fixed, value: 0.001}}
  dropout:       {{role: fixed, value: 0.0}}
  hidden_units:  {{role: fixed, value: 64}}
  optimizer:     {{role: fixed, value: adam}}
  epochs:        {{role: fixed, value: 60}}
"""


MOST_SCORES = 1000


class KnownBaselineForm(forms.Form):
    """Scores one for each seed, in any spacing; parameters as YAML or JSON."""

    objective = forms.CharField(max_length=300)
    parameters = forms.CharField(max_length=50_000)
    commit = forms.CharField(max_length=64, required=False)
    data_name = forms.CharField(max_length=200, required=False)
    data_version = forms.CharField(max_length=200, required=False)
    scores = forms.CharField(max_length=50_000)
    source = forms.CharField(max_length=1000)
    chance = forms.FloatField(required=False)
    reason = forms.CharField(max_length=10_000)

    def clean_parameters(self) -> dict[str, Any]:
        problems: list[Problem] = []
        found = experiment_yaml.load(self.cleaned_data["parameters"], problems)
        if problems:
            raise forms.ValidationError(str(problems[0]))
        if not isinstance(found, dict):
            raise forms.ValidationError(
                "Enter a mapping of names to values, such as learning_rate: 0.1."
            )
        return found

    def clean_scores(self) -> list[float]:
        words = [word for word in re.split(r"[\s,;]+", self.cleaned_data["scores"]) if word]
        scores = []
        for word in words[: MOST_SCORES + 1]:
            try:
                score = float(word)
            except ValueError:
                raise forms.ValidationError(f"{word[:40]!r} is no number.") from None
            if not math.isfinite(score):
                raise forms.ValidationError(f"{word} is not finite: leave failed runs out.")
            scores.append(score)
        return scores

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        parts = (("name", cleaned.get("data_name")), ("version", cleaned.get("data_version")))
        cleaned["data"] = {key: value for key, value in parts if value}
        return cleaned

    def reasons(self) -> list[Problem]:
        """Errors, each with its field."""
        return [
            Problem(field, str(error)) for field, errors in self.errors.items() for error in errors
        ]


@require_safe
@in_project
def baseline_page(request: HttpRequest, access: Access) -> HttpResponse:
    """Page of a project's baseline and of its comparison with chance."""
    return _page(request, access)


def _page(request: HttpRequest, access: Access, **more: Any) -> HttpResponse:
    champion = champion_of(access.project_id)
    newest = newest_baseline(access)
    seen = baseline_evidence.evaluate(newest) if newest else None
    rising = access.direction == "maximize"
    text = EXAMPLE.format(
        slug=access.slug,
        metric=access.official_metric,
        direction=access.direction,
        chance=0.1 if rising else 1.0,
    )
    context = {
        "project": access,
        "section": "experiments",
        "champion": champion,
        "held": newest,
        "seen": seen,
        "rows": list(zip(seen.runs, seen.scores, strict=True)) if seen else (),
        "text": text,
        "seeds": baselines.DEFAULT_SEEDS,
        "known": {},
        "editors": () if access.can_edit else people_who_may(access.project_id, "editor"),
        "approvers": () if access.can_decide else people_who_may(access.project_id, "approver"),
        **more,
    }
    status = 400 if more else 200
    return render(request, "projects/baseline.html", context, status=status)


@require_POST
@in_project
def start_baseline(request: HttpRequest, access: Access) -> HttpResponse:
    """Queue the configuration over fresh seeds; a file with errors comes back with them."""
    text = request.POST.get("text", "").replace("\r\n", "\n")
    seeds = whole_number(request.POST.get("seeds"), 0)
    try:
        made = baselines.start(
            access=access,
            text=text,
            seeds=seeds,
        )
    except VerdictError as error:
        if error.status in (403, 404) and not error.problems:
            raise
        return _page(
            request, access, text=text, seeds=seeds, message=error.message, problems=error.problems
        )
    messages.success(request, f"The baseline is queued: {made.pairs_queued} fresh seeds.")
    return redirect("baseline", access.slug)


@require_POST
@in_project
def record_baseline(request: HttpRequest, access: Access) -> HttpResponse:
    """Enter the baseline that has run as the project's first champion."""
    replication = required(newest_baseline(access))
    made = attempted(
        request,
        lambda: baselines.record(
            access=access,
            replication=replication,
            reason=request.POST.get("reason", ""),
        ),
    )
    return _entered(request, access, None if made is None else made.sequence)


@require_POST
@in_project
def repeat_baseline(request: HttpRequest, access: Access) -> HttpResponse:
    """Queue seeds that failed by accident again."""
    replication = required(newest_baseline(access))
    count = attempted(
        request,
        lambda: replications.repeat_failed(
            access=access,
            replication=replication,
        ),
    )
    if count:
        messages.success(request, f"{count} queued again with the same seeds.")
    return redirect("baseline", access.slug)


@require_POST
@in_project
def enter_baseline(request: HttpRequest, access: Access) -> HttpResponse:
    """Enter a model from before with its known scores; errors come back with what was typed."""
    form = KnownBaselineForm(request.POST)
    if not form.is_valid():
        return _page(
            request,
            access,
            known=request.POST,
            known_problems=form.reasons(),
            message="The baseline has errors.",
        )
    cleaned = form.cleaned_data
    fields = ("objective", "parameters", "commit", "data", "scores", "source", "chance", "reason")
    try:
        made = baselines.enter_known(
            access=access,
            **{name: cleaned[name] for name in fields},
        )
    except VerdictError as error:
        if error.status in (403, 404):
            raise
        return _page(
            request,
            access,
            known=request.POST,
            known_problems=error.problems,
            message=error.message,
        )
    return _entered(request, access, made.sequence)


def _entered(request: HttpRequest, access: Access, sequence: int | None) -> HttpResponse:
    if sequence is None:
        return redirect("baseline", access.slug)
    messages.success(
        request, f"The baseline is decision {sequence}: candidates are compared with it."
    )
    return redirect("decision", access.slug, sequence)
