"""Change an experiment's notes, tags and name, archive it, delete it."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from experiments.design.queries.citations import citations
from experiments.design.queries.experiments import get_experiment, tags_of
from experiments.team.pages.access import done, in_project
from experiments.team.queries.access import Access, people_who_may
from experiments.trials.artifacts.queries.artifacts import images_in
from experiments.trials.lifecycle.services import editing, outside_experiments
from experiments.trials.pages.control import experiment_button


class NotesForm(forms.Form):
    """Tags are words apart by commas."""

    notes = forms.CharField(required=False, max_length=100_000, strip=False)
    tags = forms.CharField(required=False, max_length=3_000)

    def clean_tags(self) -> list[str]:
        return [tag.strip() for tag in self.cleaned_data["tags"].split(",") if tag.strip()]


class NameForm(forms.Form):
    name = forms.CharField(max_length=200)


@require_http_methods(["GET", "HEAD", "POST"])
@in_project
def edit_page(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Notes, tags and name of an experiment."""
    experiment = get_experiment(access, name)
    form = NotesForm(request.POST or None)
    if request.method == "POST":
        if not form.is_valid():
            _explain(request, form)
        elif done(
            request,
            lambda: editing.write_notes(
                access=access,
                experiment=experiment,
                notes=form.cleaned_data["notes"],
                tags=form.cleaned_data["tags"],
            ),
            "Saved.",
        ):
            return redirect("experiment", access.slug, name)
    typed = request.POST if request.method == "POST" else {}
    context = {
        "project": access,
        "section": "experiments",
        "experiment": experiment,
        "notes": typed.get("notes", experiment.notes),
        "images": images_in(experiment.pk),
        "tags": typed.get("tags", ", ".join(tags_of(experiment.pk))),
        "ended": experiment.state in ("finished", "stopped"),
        "admins": () if access.can_administer else people_who_may(access.project_id, "admin"),
    }
    return render(request, "experiments/edit.html", context)


@require_POST
@in_project
def name_metric(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Name the official metric of an experiment that began without one."""
    experiment = get_experiment(access, name)
    done(
        request,
        lambda: outside_experiments.name_official_metric(
            access=access,
            experiment=experiment,
            metric=request.POST.get("metric", ""),
            direction=request.POST.get("direction", ""),
        ),
        "Saved. The runs are scored by it.",
    )
    return redirect("experiment", access.slug, name)


def _explain(request: HttpRequest, form: forms.Form) -> None:
    for field, errors in form.errors.items():
        for error in errors:
            messages.error(request, f"{field}: {error}")


@require_POST
@in_project
def rename(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Another name, and with it another address."""
    experiment = get_experiment(access, name)
    form = NameForm(request.POST)
    if not form.is_valid():
        _explain(request, form)
        return redirect("experiment_edit", access.slug, name)
    wanted = form.cleaned_data["name"].strip()
    renamed = done(
        request,
        lambda: editing.rename(access=access, experiment=experiment, name=wanted),
        f"{name} is called {wanted} now.",
    )
    if not renamed:
        return redirect("experiment_edit", access.slug, name)
    return redirect("experiment", access.slug, wanted)


archive = experiment_button(editing.archive, "Archived: hidden from lists; its page remains.")
bring_back = experiment_button(editing.bring_back, "It is listed again.")


@require_http_methods(["GET", "HEAD", "POST"])
@in_project
def delete_page(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Deletion of an experiment: what would be lost, and what prevents it."""
    experiment = get_experiment(access, name)
    typed = request.POST.get("typed_name", "")
    if request.method == "POST" and done(
        request,
        lambda: editing.delete(access=access, experiment=experiment, typed_name=typed),
        f"{name} is deleted.",
    ):
        return redirect("project", access.slug)
    context = {
        "project": access,
        "section": "experiments",
        "experiment": experiment,
        "citations": citations(experiment),
        "ended": experiment.state in ("finished", "stopped"),
        "admins": () if access.can_administer else people_who_may(access.project_id, "admin"),
    }
    return render(request, "experiments/delete.html", context)
