"""Previews of what programs logged, inside a page of ours or as a bare image."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from experiments.design.queries.experiments import get_experiment
from experiments.design.queries.records import ExperimentRecord
from experiments.design.trial_names import parse_trial_name
from experiments.team.pages.access import in_project, required
from experiments.team.queries.access import Access
from experiments.trials.artifacts.queries.artifacts import (
    LOGGED,
    KeptFile,
    file_of,
    image_ids,
    images_in,
)
from experiments.trials.panels import file_downloads
from experiments.trials.panels.media_previews import image_type, preview_of
from experiments.trials.table.queries.trial_detail import find_trial
from experiments.web.note_markdown import image_names


@require_safe
@in_project
def trial_media(
    request: HttpRequest, access: Access, name: str, trial: str, file: int
) -> HttpResponse:
    """A piece of the trial's page: one file as far as it can be shown."""
    found = _find(access, name, trial, file)
    context = {
        "project": access,
        "experiment_name": name,
        "trial_name": trial,
        "file": found,
        "preview": preview_of(found),
    }
    return render(request, "experiments/_media_preview.html", context)


@require_safe
@in_project
def trial_image(
    request: HttpRequest, access: Access, name: str, trial: str, file: int
) -> HttpResponseBase:
    """An image that a browser may show: by its first bytes, in a sandbox of its own."""
    found = _find(access, name, trial, file)
    try:
        kind = image_type(found)
    except OSError:
        kind = ""
    required(kind or None)
    return file_downloads.shown(found.path, found.sha256, content_type=kind)


def images_of(access: Access, experiment: str, trial: str, trial_id: int) -> dict[str, str]:
    """Addresses of the images that the note of a trial may show, by name."""
    return {
        name: reverse("trial_image", args=[access.slug, experiment, trial, pk])
        for name, pk in image_ids(trial_id).items()
    }


def images_in_notes(access: Access, experiment: ExperimentRecord) -> dict[str, str]:
    """Addresses of the images that an experiment's notes show, by `TRIAL/NAME`."""
    names = image_names(experiment.notes)
    return {
        name: reverse("trial_image", args=[access.slug, experiment.name, trial, pk])
        for name, (trial, pk) in (images_in(experiment.pk, names) if names else {}).items()
    }


def _find(access: Access, name: str, trial: str, file: int) -> KeptFile:
    experiment = get_experiment(access, name)
    found = required(find_trial(experiment, required(parse_trial_name(trial))))
    stored = required(file_of(experiment, found, file))
    return required(stored if stored.kind in LOGGED else None)
