"""Files of a trial: which there are, with their checksums, and their bytes."""

from __future__ import annotations

from collections.abc import Sequence

from django.http.response import HttpResponseBase
from ninja import Router

from experiments.design.queries.experiments import get_experiment
from experiments.errors import NotFound
from experiments.team.api import auth
from experiments.trials.artifacts.queries.artifacts import file_of
from experiments.trials.panels import file_downloads
from experiments.trials.table.queries.trial_detail import FileRow, files_of, get_trial
from experiments.web import api_bodies
from experiments.web.api_schemas import answer
from experiments.web.requests import TokenRequest

router = Router(tags=["trials"])
_PLACE = "/{slug}/experiments/{name}/trials/{trial}/files"


@router.get(_PLACE, response={200: answer("Files", files=[FileRow]), **auth.READ_ERRORS})
def list_files(
    request: TokenRequest, slug: str, name: str, trial: str
) -> dict[str, Sequence[FileRow]]:
    """Checkpoints and output with sizes and SHA-256."""
    access = auth.reading(request, slug)
    experiment = get_experiment(access, name)
    found = get_trial(experiment, trial)
    return {"files": files_of(found.pk).rows}


@router.get(_PLACE + "/{int:file}", openapi_extra=api_bodies.file(file_downloads.CONTENT_TYPE))
def read_trial_file(
    request: TokenRequest, slug: str, name: str, trial: str, file: int
) -> HttpResponseBase:
    """The bytes of one file; its SHA-256 is the ETag."""
    access = auth.reading(request, slug)
    experiment = get_experiment(access, name)
    found = get_trial(experiment, trial)
    stored = file_of(experiment, found, file) if file < 2**63 else None
    if stored is None:
        raise NotFound(f"{trial} has no file {file}.")
    filename = f"{slug} {experiment.name} {trial} {stored.name}"
    return file_downloads.sent(stored.path, stored.sha256, filename=filename)
