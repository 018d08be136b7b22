"""Files of runs from anywhere: streamed in, listed, read back, deleted."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from ninja import Path, Router, Status
from pydantic import StringConstraints

from experiments.errors import NotFound
from experiments.team.api import auth
from experiments.tracking.api.runs import run_of
from experiments.trials.artifacts.queries import artifacts as queries
from experiments.trials.artifacts.queries.artifacts import KeptFile
from experiments.trials.artifacts.services import files as services
from experiments.trials.artifacts.services.files import LoggedKind
from experiments.trials.panels import file_downloads
from experiments.web import api_bodies, uploads
from experiments.web.api_schemas import ErrorOut, answer, schema_of
from experiments.web.requests import TokenRequest

router = Router(tags=["runs"])
_FILE = schema_of(KeptFile, "LoggedFile", without="trial_id path attempt value")
_ERRORS = dict.fromkeys((400, 401, 403, 404, 409, 413, 422, 503), ErrorOut)
_FILES = "/{int:run_id}/files/{path:file_name}"
Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{0,64}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f]{64})?$")]


@router.put(
    _FILES,
    response={201: _FILE, **_ERRORS},
    openapi_extra=api_bodies.file_body(),
)
def write_file(
    request: TokenRequest,
    run_id: int,
    file_name: str,
    kind: LoggedKind = "file",
    step: float | None = None,
    sha256: Digest = "",
    upload: Key = "",
) -> HttpResponse | Status[KeptFile]:
    """Store a file of a run: the body is its bytes, of any size up to FILE_MEGABYTES.

    Another one of the same kind, name and step is replaced. With `sha256` a body that was altered
    on its way is refused. With `upload`, a name of your own, an upload that broke off may go on:
    ask `GET .../uploads/{upload}` for how much has arrived, and send the rest with Content-Range.
    """
    run = run_of(request, run_id)
    services.check_name(file_name)
    access = auth.writing(request, run.project)
    draft = uploads.body_of(
        request,
        services.place_in(access.project_id),
        key=_key(request, run_id, upload),
        sha256=sha256,
    )
    if draft is None:
        return uploads.go_on()
    return Status(
        201, services.take(trial_id=run.id, name=file_name, draft=draft, kind=kind, step=step)
    )


@router.get(
    "/{int:run_id}/uploads/{upload}",
    response={200: answer("Upload", received=int), **_ERRORS},
)
def read_upload(
    request: TokenRequest, run_id: int, upload: Annotated[Key, Path()]
) -> dict[str, int]:
    """Bytes of an upload that have arrived, to go on from."""
    run = run_of(request, run_id, write=False)
    access = auth.reading(request, run.project)
    return {
        "received": uploads.received(access.project_id, _key(request, run_id, upload)),
    }


@router.get("/{int:run_id}/files", response={200: answer("RunFiles", files=[_FILE]), **_ERRORS})
def list_run_files(request: TokenRequest, run_id: int) -> dict[str, list[KeptFile]]:
    """Files that programs logged, by name and step; of a worker's trial, too."""
    run = run_of(request, run_id, write=False)
    return {"files": queries.logged_files(run.id)}


@router.get(_FILES, openapi_extra=api_bodies.file(file_downloads.CONTENT_TYPE))
def read_run_file(
    request: TokenRequest, run_id: int, file_name: str, step: float | None = None
) -> HttpResponseBase:
    """The newest file of a name, or that of a step; its SHA-256 is the ETag."""
    run = run_of(request, run_id, write=False)
    found = _named(run.id, file_name, step)[-1]
    filename = f"{run.experiment} {run.number} {found.name}"
    return file_downloads.sent(found.path, found.sha256, filename=filename)


@router.delete(_FILES, response={204: None, **_ERRORS})
def delete_run_file(
    request: TokenRequest, run_id: int, file_name: str, step: float | None = None
) -> Status[None]:
    """Delete a file, of all steps unless one is told; refused once a decision cites the run."""
    run = run_of(request, run_id)
    found = _named(run.id, file_name, step)
    access = auth.writing(request, run.project)
    services.delete(access=access, trial_id=run.id, file_ids=[file.id for file in found])
    return Status(204, None)


def _named(run_id: int, name: str, step: float | None) -> list[KeptFile]:
    found = [
        file
        for file in queries.logged_files(run_id, prefix=name)
        if file.name == name and step in (None, file.step)
    ]
    if not found:
        raise NotFound(f"Run {run_id} has no file {name:.100}.")
    return sorted(found, key=lambda file: file.id)


def _key(request: TokenRequest, run_id: int, upload: str) -> str:
    """Name of a draft that no other token can name; empty for an upload that is sent in one go."""
    return f"{request.auth.pk}:{run_id}:{upload}" if upload else ""
