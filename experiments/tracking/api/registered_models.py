"""Calls about the model registry: registered models, versions, aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.team.queries.access import Access
from experiments.tracking.api.mlflow_call import Call, Handler, next_page
from experiments.tracking.mlflow_errors import TAKEN, MlflowError, invalid, missing, too_long
from experiments.tracking.mlflow_fields import name_of, tag_of
from experiments.tracking.queries import logged_models, mlflow_runs, registry_search
from experiments.tracking.queries import registered_models as queries
from experiments.tracking.queries.mlflow_experiments import Place
from experiments.tracking.queries.registered_models import ModelVersion, RegisteredModel
from experiments.tracking.services import mlflow_experiments
from experiments.tracking.services import registered_models as services
from experiments.tracking.services.registered_models import NewVersion

LONGEST_NAME, LONGEST_DESCRIPTION, LONGEST_TAG = 256, 100_000, 100_000
MOST_MODELS, MOST_VERSIONS = 1000, 200_000  # of one page
_SOURCES = (
    "expected a logged model (models:/m-...), or files of a run (runs:/RUN/FOLDER): Verdict "
    "registers what lies with a run of this project."
)


def _new_name(call: Call, field: str) -> str:
    name = call.fields.text(field, needed=True)
    if not name.strip():
        raise missing(field)
    if "/" in name or ":" in name:
        raise MlflowError(f"Invalid model name '{name[:256]}'. Names cannot contain '/' or ':'.")
    if len(name) > LONGEST_NAME:
        raise too_long(field, LONGEST_NAME)
    if name in (".", ".."):
        raise invalid(field, name)
    return name


def _description(call: Call) -> str:
    text = call.fields.text("description")
    if len(text) > LONGEST_DESCRIPTION:
        raise too_long("description", LONGEST_DESCRIPTION)
    return text


def _tags(call: Call) -> dict[str, str]:
    items = enumerate(call.fields.items("tags"))
    found = dict(tag_of(tag, f"tags[{i}]", longest=LONGEST_TAG) for i, tag in items)
    if found.get(queries.PROMPT_TAG, "").lower() == "true":
        raise MlflowError("Verdict keeps models; prompts are not offered.", "NOT_IMPLEMENTED")
    return found


def _model(call: Call) -> RegisteredModel:
    return queries.find(call.token, call.slug, call.fields.text("name", needed=True))


def _version(call: Call) -> ModelVersion:
    number = call.fields.whole("version")
    if number is None:
        raise missing("version")
    return queries.find_version(_model(call), str(number))


def _model_to_write(call: Call) -> tuple[RegisteredModel, Access]:
    call.need("write")
    model = _model(call)
    return model, call.access(model.project.slug)


def _version_to_write(call: Call) -> tuple[ModelVersion, Access]:
    call.need("write")
    version = _version(call)
    return version, call.access(version.model.project.slug)


def _shown(model: RegisteredModel) -> dict[str, Any]:
    model.refresh_from_db()
    return {"registered_model": queries.read([model])[0]}


def _shown_version(version: ModelVersion) -> dict[str, Any]:
    return {"model_version": queries.read_versions([version])[0]}


def create(call: Call) -> dict[str, Any]:
    call.need("write")
    name, description, tags = _new_name(call, "name"), _description(call), _tags(call)
    if queries.opened(call.token, call.slug).filter(name=name).exists():
        raise MlflowError(f"Registered Model (name={name}) already exists.", TAKEN)
    place = Place(queries.place_of(call.token, call.slug, name), name)
    access = mlflow_experiments.project_of(call.token, place)
    services.create(access=access, name=name, description=description, tags=tags)
    return _shown(queries.find(call.token, access.slug, name))


def get(call: Call) -> dict[str, Any]:
    return {"registered_model": queries.read([_model(call)])[0]}


def update(call: Call) -> dict[str, Any]:
    description = _description(call)
    model, access = _model_to_write(call)
    services.describe(access=access, model=model, description=description)
    return _shown(model)


def rename(call: Call) -> dict[str, Any]:
    name = _new_name(call, "new_name")
    model, access = _model_to_write(call)
    services.rename(access=access, model=model, name=name)
    return _shown(model)


def delete(call: Call) -> None:
    model, access = _model_to_write(call)
    services.delete(access=access, model=model)


def search(call: Call) -> dict[str, Any]:
    call.check_project()
    offset, most = call.offset(), call.fields.within("max_results", 1, MOST_MODELS, 100)
    found, more = registry_search.search(
        call.token,
        call.slug,
        filter_text=call.fields.text("filter"),
        order_by=call.fields.texts("order_by"),
        offset=offset,
        most=most,
    )
    answer: dict[str, Any] = {"registered_models": queries.read(found)}
    return answer | (next_page(offset + most) if more else {})


def latest(call: Call) -> dict[str, Any]:
    """The newest version: none is in one of the stages that MLflow gave up for aliases."""
    stages = {stage.lower() for stage in call.fields.texts("stages")}
    newest = queries.latest(_model(call))
    wanted = newest is not None and (not stages or "none" in stages)
    return {"model_versions": queries.read_versions([newest] if newest and wanted else [])}


def set_tag(call: Call) -> None:
    key, value = tag_of(call.fields.entry, longest=LONGEST_TAG)
    model, access = _model_to_write(call)
    services.set_tag(access=access, model=model, key=key, value=value)


def delete_tag(call: Call) -> None:
    key = name_of(call.fields.entry.get("key"), "key")
    model, access = _model_to_write(call)
    services.delete_tag(access=access, model=model, key=key)


def set_alias(call: Call) -> None:
    alias = call.fields.text("alias", needed=True)
    version, access = _version_to_write(call)
    services.set_alias(access=access, model=version.model, alias=alias, version=version.version)


def delete_alias(call: Call) -> None:
    alias = call.fields.text("alias", needed=True)
    model, access = _model_to_write(call)
    services.delete_alias(access=access, model=model, alias=alias)


def get_by_alias(call: Call) -> dict[str, Any]:
    return _shown_version(queries.by_alias(_model(call), call.fields.text("alias", needed=True)))


def create_version(call: Call) -> dict[str, Any]:
    description, tags = _description(call), _tags(call)
    source = call.fields.text("source", needed=True)
    model, access = _model_to_write(call)
    new = _new_version(call, model, source, description, tags)
    number = services.add_version(access=access, model=model, new=new)
    return _shown_version(queries.find_version(model, str(number)))


def _new_version(
    call: Call, model: RegisteredModel, source: str, description: str, tags: dict[str, str]
) -> NewVersion:
    """The files that a source means.

    Raises:
        MlflowError: for one that is no file of a run in the model's project.
    """
    slug = model.project.slug
    scheme, _, rest = source.partition(":/")
    parts = rest.split("/")
    if {"", ".", ".."} & set(parts):
        raise _wrong_source(source)
    if scheme == "mlflow-artifacts" and len(parts) >= 4 and parts[1] == "models":
        scheme, parts = "models", parts[2:3]  # of a logged model
    elif scheme == "mlflow-artifacts" and len(parts) >= 4 and parts[2] == "artifacts":
        scheme, parts = "runs", [parts[1], *parts[3:]]
    if scheme == "models" and len(parts) == 1 and "@" not in parts[0]:
        logged = logged_models.find(call.token, slug, parts[0])
        trial_id = mlflow_runs.find(call.token, slug, logged.run_id).id
        folder = f"models/{logged.key}"
        return NewVersion(trial_id, folder, source, logged.id, description, tags)
    if scheme == "models" and len(parts) == 2:
        version = queries.find_version(queries.find(call.token, slug, parts[0]), parts[1])
        if version.trial_id is None:
            raise _wrong_source(source)
        return NewVersion(version.trial_id, version.folder, source, version.logged_model_id,
                          description, tags)  # fmt: skip
    if scheme == "runs" and len(parts) >= 2:
        run = mlflow_runs.find(call.token, slug, parts[0])
        return NewVersion(run.id, "/".join(parts[1:])[:500], source, None, description, tags)
    raise _wrong_source(source)


def _wrong_source(source: str) -> MlflowError:
    return MlflowError(f"Invalid model version source: '{source[:200]}': {_SOURCES}")


def get_version(call: Call) -> dict[str, Any]:
    return _shown_version(_version(call))


def update_version(call: Call) -> dict[str, Any]:
    description = _description(call)
    version, access = _version_to_write(call)
    services.describe_version(access=access, version=version, description=description)
    return _shown_version(_version(call))


def delete_version(call: Call) -> None:
    version, access = _version_to_write(call)
    services.delete_version(access=access, version=version)


def search_versions(call: Call) -> dict[str, Any]:
    call.check_project()
    offset, most = call.offset(), call.fields.within("max_results", 1, MOST_VERSIONS, 10_000)
    found, more = registry_search.search_versions(
        call.token,
        call.slug,
        filter_text=call.fields.text("filter"),
        order_by=call.fields.texts("order_by"),
        offset=offset,
        most=most,
    )
    answer: dict[str, Any] = {"model_versions": queries.read_versions(found)}
    return answer | (next_page(offset + most) if more else {})


def download_uri(call: Call) -> dict[str, Any]:
    return {"artifact_uri": queries.download_uri(_version(call))}


def set_version_tag(call: Call) -> None:
    key, value = tag_of(call.fields.entry, longest=LONGEST_TAG)
    version, access = _version_to_write(call)
    services.set_version_tag(access=access, version=version, key=key, value=value)


def delete_version_tag(call: Call) -> None:
    key = name_of(call.fields.entry.get("key"), "key")
    version, access = _version_to_write(call)
    services.delete_version_tag(access=access, version=version, key=key)


def move_stage(call: Call) -> None:
    raise MlflowError(
        "Stages are not offered, as MLflow gave them up: set an alias. The alias champion is "
        "moved by decisions.",
        "NOT_IMPLEMENTED",
    )


ROUTES: Mapping[tuple[str, str], Handler] = {
    ("POST", "registered-models/create"): create,
    ("GET", "registered-models/get"): get,
    ("PATCH", "registered-models/update"): update,
    ("POST", "registered-models/rename"): rename,
    ("DELETE", "registered-models/delete"): delete,
    ("GET", "registered-models/search"): search,
    ("GET", "registered-models/get-latest-versions"): latest,
    ("POST", "registered-models/get-latest-versions"): latest,
    ("POST", "registered-models/set-tag"): set_tag,
    ("DELETE", "registered-models/delete-tag"): delete_tag,
    ("POST", "registered-models/alias"): set_alias,
    ("DELETE", "registered-models/alias"): delete_alias,
    ("GET", "registered-models/alias"): get_by_alias,
    ("POST", "model-versions/create"): create_version,
    ("GET", "model-versions/get"): get_version,
    ("PATCH", "model-versions/update"): update_version,
    ("DELETE", "model-versions/delete"): delete_version,
    ("GET", "model-versions/search"): search_versions,
    ("GET", "model-versions/get-download-uri"): download_uri,
    ("POST", "model-versions/set-tag"): set_version_tag,
    ("DELETE", "model-versions/delete-tag"): delete_version_tag,
    ("POST", "model-versions/transition-stage"): move_stage,
}
