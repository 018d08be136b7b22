"""Files of runs and of logged models, sent through this server as MLflow's clients do.

A file's address is `<experiment>/<run>/artifacts/<name>`, a model's
`<experiment>/models/<model>/artifacts/<name>`: its files are files of its run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from experiments.tracking.api.mlflow_call import Call, Handler
from experiments.tracking.mlflow_errors import UNKNOWN, MlflowError
from experiments.tracking.queries import logged_models, mlflow_runs
from experiments.tracking.queries.mlflow_runs import FoundRun
from experiments.tracking.services.mlflow_runs import not_active
from experiments.trials.artifacts.queries import artifacts as queries
from experiments.trials.artifacts.services import files as services
from experiments.trials.artifacts.services.files import BadFile, LoggedKind
from experiments.trials.panels import file_downloads
from experiments.web import uploads

_KINDS: Mapping[str, LoggedKind] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp"), "image"),
    **dict.fromkeys((".txt", ".md", ".log"), "text"),
}


@dataclass(frozen=True, slots=True)
class _Place:
    """A run, and the name that a file, or a folder of files, has there."""

    run: FoundRun
    name: str


def _place(call: Call, path: str) -> _Place:
    """The place of an address.

    Raises:
        MlflowError: for an address of another form, or one of a run that the token does not open.
    """
    parts = _parts(path)
    if not parts:
        raise MlflowError("Name a run whose files are meant: experiment/run/artifacts.", UNKNOWN)
    if len(parts) >= 4 and parts[1] == "models" and parts[3] == "artifacts":
        model = logged_models.find(call.token, call.slug, parts[2])
        name = "/".join(("models", model.key, *parts[4:]))
        return _Place(mlflow_runs.find(call.token, call.slug, model.run_id), name)
    if len(parts) < 3 or parts[2] != "artifacts":
        raise MlflowError("Invalid path")
    return _Place(mlflow_runs.find(call.token, call.slug, parts[1]), "/".join(parts[3:]))


def _parts(path: str) -> list[str]:
    """Parts of a path without those that stay where they are, as clients send "." for a root.

    Raises:
        MlflowError: for a path that leads out.
    """
    parts = [part for part in path.strip("/").split("/") if part != "."]
    parts = [] if parts == [""] else parts
    if {"", ".."} & set(parts):
        raise MlflowError("Invalid path")
    return parts


def _to_write(call: Call, path: str) -> _Place:
    call.need("write")
    place = _place(call, path)
    place.run.require_write()
    if place.run.deleted:
        raise not_active("run", place.run.run_id)
    return place


def write(request: HttpRequest, call: Call, path: str) -> HttpResponseBase:
    """Store a file in place of an earlier one of that name."""
    place = _to_write(call, path)
    try:
        services.check_name(place.name)
    except BadFile:
        raise MlflowError("Invalid path") from None
    draft = uploads.body_of(request, services.place_in(place.run.project_id))
    if draft is None:
        return uploads.go_on()
    kind = _KINDS.get(PurePosixPath(place.name).suffix.lower(), "file")
    services.take(trial_id=place.run.id, name=place.name, draft=draft, kind=kind)
    return _json({})


def read(request: HttpRequest, call: Call, path: str) -> HttpResponseBase:
    """A file, or without a path the list of a folder."""
    if not path:
        return _json({"files": _listed(_place(call, call.fields.text("path")))})
    place = _place(call, path)
    file = queries.logged_file(place.run.id, place.name)
    if file is None:
        raise MlflowError(f"No such file: {place.name[:200]}", UNKNOWN)
    name = PurePosixPath(place.name).name
    return file_downloads.sent(file.path, file.sha256, filename=name)


def _listed(place: _Place) -> list[dict[str, Any]]:
    """Files and folders directly below a place; their names are relative to it."""
    before = f"{place.name}/" if place.name else ""
    found: dict[str, dict[str, Any]] = {}
    for file in queries.logged_files(place.run.id, prefix=before):
        first, _, rest = file.name.removeprefix(before).partition("/")
        if not before and first == "models" and rest.startswith("m-"):
            continue  # those of logged models have addresses of their own
        entry = {"path": first, "is_dir": bool(rest)}
        found[first] = entry if rest else {**entry, "file_size": file.size}
    return [found[name] for name in sorted(found)]


def list_of_run(call: Call) -> dict[str, Any]:
    """Files and folders of a run, or of a folder of it, by their names within the run."""
    run = call.run()
    files = _below(run, "", call.fields.text("path"))
    return {"root_uri": mlflow_runs.artifact_uri(run.experiment_id, run.run_id), "files": files}


def list_of_model(call: Call) -> dict[str, Any]:
    """Files and folders of a logged model, or of a folder of it, by their names within it."""
    model = logged_models.find(call.token, call.slug, call.fields.text("model_id"))
    run = mlflow_runs.find(call.token, call.slug, model.run_id)
    files = _below(run, f"models/{model.key}/", call.fields.text("artifact_directory_path"))
    return {"root_uri": model.shape["info"]["artifact_uri"], "files": files}


def _below(run: FoundRun, root: str, folder: str) -> list[dict[str, Any]]:
    """Files and folders directly below a folder of a run, by their names from `root` on.

    Raises:
        MlflowError: for a folder that leads out of the run.
    """
    before = "".join(f"{part}/" for part in _parts(folder))
    files = _listed(_Place(run, f"{root}{before}".rstrip("/")))
    return [{**file, "path": f"{before}{file['path']}"} for file in files]


def delete(request: HttpRequest, call: Call, path: str) -> HttpResponseBase:
    """Delete a file, or all below a folder."""
    place = _to_write(call, path)
    files = [
        file.id
        for file in queries.logged_files(place.run.id, prefix=place.name)
        if not place.name or file.name == place.name or file.name.startswith(f"{place.name}/")
    ]
    if not files:
        raise MlflowError(f"No such file: {place.name[:200]}", UNKNOWN)
    services.delete(access=call.access(place.run.slug), trial_id=place.run.id, file_ids=files)
    return _json({})


def _json(answer: dict[str, Any]) -> HttpResponseBase:
    return HttpResponse(json.dumps(answer), content_type="application/json")


METHODS: Mapping[str, Callable[[HttpRequest, Call, str], HttpResponseBase]] = {
    "PUT": write,
    "GET": read,
    "DELETE": delete,
}
ROUTES: Mapping[tuple[str, str], Handler] = {
    ("GET", "artifacts/list"): list_of_run,
    ("GET", "logged-models/*/artifacts/directories"): list_of_model,
}
