"""Calls about experiments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.team.queries.access import Access
from experiments.tracking.api.mlflow_call import MOST_RESULTS, Call, Handler, next_page
from experiments.tracking.mlflow_errors import TAKEN, MlflowError, invalid, missing, too_long
from experiments.tracking.mlflow_fields import LONGEST_EXPERIMENT, LONGEST_EXPERIMENT_TAG, tag_of
from experiments.tracking.queries import mlflow_experiments as queries
from experiments.tracking.queries.mlflow_experiments import Experiment
from experiments.tracking.services import mlflow_experiments as services

MOST_SEARCHED = 20  # experiments whose datasets one call reads
DEFAULT_IDS = ("", "0")  # of the experiment of programs that name none


def experiment_id(call: Call) -> str:
    """The id of the experiment that a call names; that of programs that name none is made on
    first use.
    """
    named = call.fields.text("experiment_id")
    return named if named not in DEFAULT_IDS else _default(call)


def _default(call: Call) -> str:
    try:
        found = queries.find_by_name(call.token, call.slug, queries.DEFAULT)
    except MlflowError:
        call.need("write")
        place = queries.place_of(call.token, call.slug, queries.DEFAULT)
        access = services.project_of(call.token, place)
        try:
            found = services.create(access=access, name=place.name, tags={})
        except MlflowError as error:
            if error.code != TAKEN:
                raise
            # Another program has made it in between.
            found = queries.find_by_name(call.token, call.slug, queries.DEFAULT)
    return str(found.pk)


def create(call: Call) -> dict[str, Any]:
    call.need("write")
    name = _name(call, "name")
    call.fields.text("artifact_location")  # files go through this server
    tags = dict(_tags(call))
    place = queries.place_of(call.token, call.slug, name)
    access = services.project_of(call.token, place)
    made = services.create(access=access, name=place.name, tags=tags)
    return {"experiment_id": str(made.pk)}


def _name(call: Call, field: str) -> str:
    name = call.fields.text(field, needed=True)
    if len(name) > LONGEST_EXPERIMENT:
        raise too_long(field, LONGEST_EXPERIMENT)
    if not name.strip():
        raise MlflowError(f"Invalid experiment name: '{name}'")
    return name


def _tags(call: Call) -> list[tuple[str, str]]:
    return [
        tag_of(tag, f"tags[{index}]", longest=LONGEST_EXPERIMENT_TAG)
        for index, tag in enumerate(call.fields.items("tags"))
    ]


def get(call: Call) -> dict[str, Any]:
    if "experiment_id" not in call.fields.entry:
        raise missing("experiment_id")
    found = queries.find(call.token, call.slug, experiment_id(call))
    return {"experiment": queries.read([found], call.slug)[0]}


def get_by_name(call: Call) -> dict[str, Any]:
    name = call.fields.text("experiment_name", needed=True)
    found = queries.find_by_name(call.token, call.slug, name)
    return {"experiment": queries.read([found], call.slug)[0]}


def search(call: Call) -> dict[str, Any]:
    call.check_project()
    offset = call.offset()
    most = call.fields.within("max_results", 1, MOST_RESULTS, 1000)
    found, more = queries.search(
        call.token,
        call.slug,
        filter_text=call.fields.text("filter"),
        order_by=call.fields.texts("order_by"),
        view=call.view("view_type"),
        offset=offset,
        most=most,
    )
    answer: dict[str, Any] = {"experiments": queries.read(found, call.slug)}
    return answer | (next_page(offset + most) if more else {})


def update(call: Call) -> None:
    name = _name(call, "new_name")
    found, access = _to_write(call)
    place = queries.place_of(call.token, call.slug, name)
    if place.slug not in (access.slug, queries.FALLBACK):
        raise MlflowError(f"An experiment stays in its project: begin its name {access.slug}/.")
    services.rename(access=access, experiment=found, name=place.name)


def _to_write(call: Call) -> tuple[Experiment, Access]:
    call.need("write")
    named = call.fields.text("experiment_id", needed=True)
    found = queries.find(call.token, call.slug, named)
    return found, call.access(found.project.slug)


def delete(call: Call) -> None:
    found, access = _to_write(call)
    services.delete(access=access, experiment=found)


def restore(call: Call) -> None:
    found, access = _to_write(call)
    services.restore(access=access, experiment=found)


def set_tag(call: Call) -> None:
    found, access = _to_write(call)
    key, value = tag_of(call.fields.entry, longest=LONGEST_EXPERIMENT_TAG)
    if not isinstance(call.fields.entry.get("value", ""), str):
        raise invalid("value", call.fields.entry["value"])
    services.set_tags(access=access, experiment=found, tags={key: value})


def delete_tag(call: Call) -> None:
    found, access = _to_write(call)
    services.delete_tag(access=access, experiment=found, key=call.fields.text("key", needed=True))


def search_datasets(call: Call) -> dict[str, Any]:
    """Names, digests and contexts of the datasets that runs of experiments have read."""
    call.check_project()
    named = call.fields.texts("experiment_ids")
    if not named:
        raise MlflowError("SearchDatasets request must specify at least one experiment_id.")
    if len(named) > MOST_SEARCHED:
        raise MlflowError(
            f"SearchDatasets request cannot specify more than {MOST_SEARCHED} experiment_ids. "
            f"Received {len(named)} experiment_ids."
        )
    found = queries.datasets(call.token, call.slug, call.experiment_ids())
    return {"dataset_summaries": found}


ROUTES: Mapping[tuple[str, str], Handler] = {
    ("POST", "experiments/create"): create,
    ("GET", "experiments/get"): get,
    ("GET", "experiments/get-by-name"): get_by_name,
    ("POST", "experiments/search"): search,
    ("GET", "experiments/search"): search,
    ("POST", "experiments/search-datasets"): search_datasets,
    ("POST", "experiments/update"): update,
    ("POST", "experiments/delete"): delete,
    ("POST", "experiments/restore"): restore,
    ("POST", "experiments/set-experiment-tag"): set_tag,
    ("POST", "experiments/delete-experiment-tag"): delete_tag,
}
