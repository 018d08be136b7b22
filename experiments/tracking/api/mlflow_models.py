"""Calls about logged models."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from experiments.tracking.api.mlflow_call import Call, Handler, next_page
from experiments.tracking.api.mlflow_experiments import experiment_id
from experiments.tracking.mlflow_errors import MlflowError, too_long
from experiments.tracking.mlflow_fields import LONGEST_EXPERIMENT, parameter_of, tag_of
from experiments.tracking.mlflow_fields import whole_number as whole
from experiments.tracking.queries import logged_models as queries
from experiments.tracking.queries import mlflow_experiments, mlflow_runs
from experiments.tracking.queries.logged_models import FoundModel
from experiments.tracking.services import logged_models as services
from experiments.tracking.services import mlflow_runs as run_services
from experiments.tracking.services.mlflow_runs import NewRun

_PATH = re.compile(
    r"logged-models/(m-[0-9a-f]{1,40})(?:/(params|tags|artifacts/directories))?(?:/([^/]+))?"
)


def route_of(path: str) -> tuple[str, dict[str, str]]:
    """A path with * for each of its variable parts, and the fields that those are."""
    found = _PATH.fullmatch(path)
    if found is None:
        return path, {}
    key, part, name = found.groups()
    route = "/".join(["logged-models", "*", *([part] if part else []), *(["*"] if name else [])])
    return route, {"model_id": key, **({"key": name} if name else {})}


def _model_to_write(call: Call) -> FoundModel:
    call.need("write")
    model = queries.find(call.token, call.slug, call.fields.text("model_id", needed=True))
    mlflow_runs.find(call.token, call.slug, model.run_id).require_write()
    return model


def create(call: Call) -> dict[str, Any]:
    call.need("write")
    name, model_type = call.fields.text("name"), call.fields.text("model_type")
    if len(name) > LONGEST_EXPERIMENT or len(model_type) > LONGEST_EXPERIMENT:
        raise too_long("name", LONGEST_EXPERIMENT)
    params = dict(parameter_of(param, f"params[{i}]") for i, param in _items(call, "params"))
    tags = dict(tag_of(tag, f"tags[{i}]") for i, tag in _items(call, "tags"))
    run = mlflow_runs.find(call.token, call.slug, _run_id(call, name))
    run.require_write()
    key = services.create(run=run, name=name, model_type=model_type, params=params, tags=tags)
    return {"model": queries.find(call.token, call.slug, key).shape}


def _items(call: Call, name: str) -> list[tuple[int, dict[str, Any]]]:
    return list(enumerate(call.fields.items(name)))


def _run_id(call: Call, name: str) -> str:
    """The run that a model comes from; one that names none gets a run of its own."""
    run_id = call.fields.text("source_run_id")
    if run_id:
        return run_id
    found = mlflow_experiments.find(call.token, call.slug, experiment_id(call))
    access = call.access(found.project.slug)
    made = run_services.create(
        access=access, experiment_id=found.pk, new=NewRun(name=name or "a model")
    )
    new_id: str = mlflow_runs.read([made])[0]["info"]["run_id"]
    run_services.update(run=mlflow_runs.find(call.token, call.slug, new_id), status="FINISHED")
    return new_id


def get(call: Call) -> dict[str, Any]:
    return {"model": queries.find(call.token, call.slug, call.fields.text("model_id")).shape}


def complete(call: Call) -> dict[str, Any]:
    status = call.fields.text("status", needed=True)
    if status not in services.STATUSES:
        raise MlflowError(f"Invalid value {status[:60]!r} for parameter 'status' supplied.")
    model = _model_to_write(call)
    services.complete(model_id=model.id, status=status)
    return get(call)


def add_params(call: Call) -> None:
    params = dict(parameter_of(param, f"params[{i}]") for i, param in _items(call, "params"))
    services.add(model_id=_model_to_write(call).id, params=params, tags={})


def set_tags(call: Call) -> dict[str, Any]:
    tags = dict(tag_of(tag, f"tags[{i}]") for i, tag in _items(call, "tags"))
    services.add(model_id=_model_to_write(call).id, params={}, tags=tags)
    return get(call)


def remove_tag(call: Call) -> None:
    model = _model_to_write(call)
    services.remove_tag(model_id=model.id, key=call.fields.text("key", needed=True))


def delete(call: Call) -> None:
    services.delete(model_id=_model_to_write(call).id)


def search(call: Call) -> dict[str, Any]:
    call.check_project()
    offset = call.offset()
    most = call.fields.within("max_results", 1, 1000, 100)
    found, more = queries.search(
        call.token,
        call.slug,
        call.experiment_ids(),
        filter_text=call.fields.text("filter"),
        offset=offset,
        most=most,
    )
    return {"models": found} | (next_page(offset + most) if more else {})


def outputs(call: Call) -> None:
    """Models that a run gives out; of which step is told."""
    steps = {}
    for _, output in _items(call, "models"):
        step = whole(output.get("step", 0))
        if not isinstance(output.get("model_id"), str) or step is None:
            raise MlflowError("Invalid value for parameter 'models' supplied.")
        steps[output["model_id"]] = step
    services.give_out(run=call.run_to_write(), steps=steps)


def log_model(call: Call) -> None:
    """Record the description of a model that clients before 3 send beside its files."""
    try:
        model = json.loads(call.fields.text("model_json", needed=True))
    except (ValueError, RecursionError):
        model = None
    if not isinstance(model, dict):
        raise MlflowError("Malformed model info. expected a JSON object in 'model_json'.")
    run_services.record_model(run=call.run_to_write(), model=model)


ROUTES: Mapping[tuple[str, str], Handler] = {
    ("POST", "logged-models"): create,
    ("POST", "logged-models/search"): search,
    ("GET", "logged-models/*"): get,
    ("PATCH", "logged-models/*"): complete,
    ("DELETE", "logged-models/*"): delete,
    ("POST", "logged-models/*/params"): add_params,
    ("PATCH", "logged-models/*/tags"): set_tags,
    ("DELETE", "logged-models/*/tags/*"): remove_tag,
    ("POST", "runs/outputs"): outputs,
    ("POST", "runs/log-model"): log_model,
}
