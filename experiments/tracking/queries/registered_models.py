"""The model registry as MLflow's clients read it: models, versions, aliases.

The alias `champion` of a target's model is stored nowhere: it follows from the decision log,
which is verified before it is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from experiments.decisions.queries import champion as champions
from experiments.decisions.queries.champion import Decision
from experiments.decisions.registered_models import (
    CHAMPION,
    AdoptedVersion,
    adopted_version,
    target_of,
)
from experiments.models import ApiToken
from experiments.models import ModelVersion as ModelVersion
from experiments.models import RegisteredModel as RegisteredModel
from experiments.models.trial_encoding import decode
from experiments.team.queries import access
from experiments.tracking.mlflow_errors import INVALID, UNKNOWN, MlflowError
from experiments.tracking.queries.mlflow_experiments import FALLBACK
from experiments.tracking.run_texts import milliseconds
from experiments.trials.artifacts.queries.deployable_models import files_of
from experiments.verdict.queries.chain_check import check_logs, intact_log

PROMPT_TAG = "mlflow.prompt.is_prompt"  # clients keep prompts among registered models
_LARGE = (
    "parameters",
    "distributions",
    "values",
    "user_attributes",
    "system_attributes",
    "reports",
)
_Pairs = Mapping[int, int]


def opened(token: ApiToken, slug: str) -> QuerySet[RegisteredModel]:
    """Registered models that a token opens, of one project or of all."""
    rows = RegisteredModel.objects.filter(
        deleted_at__isnull=True, project__in=access.visible_projects(token.owner)
    ).select_related("project")
    if token.project_id is not None:
        rows = rows.filter(project_id=token.project_id)
    return rows.filter(project__slug=slug) if slug else rows


def find(token: ApiToken, slug: str, name: str) -> RegisteredModel:
    """The model of a name.

    Raises:
        MlflowError: when there is none that the token may know of, or at the bare server's
            address several.
    """
    rows = list(opened(token, slug).filter(name=name)[:2])
    if not rows:
        raise MlflowError(f"Registered Model with name={name[:256]} not found", UNKNOWN)
    if len(rows) > 1:
        raise MlflowError(
            f"Several projects have a registered model {name[:256]}: set the tracking URI to "
            f"that of one, such as <server>/projects/{rows[0].project.slug}."
        )
    return rows[0]


def place_of(token: ApiToken, slug: str, name: str) -> str:
    """Slug of the project of a new model: at the bare server's address the one that the name
    begins with, where the token opens it.
    """
    if slug or token.project is not None:
        return slug or (token.project.slug if token.project else "")
    first = name.partition(".")[0]
    return first if access.find_project(token.owner, first) is not None else FALLBACK


def versions() -> QuerySet[ModelVersion]:
    """Versions that were not deleted."""
    found = ModelVersion.objects.filter(deleted_at__isnull=True)
    return found.select_related("model__project", "trial__study", "logged_model").defer(
        *(f"trial__{column}" for column in _LARGE), "logged_model__params", "logged_model__tags"
    )


def find_version(model: RegisteredModel, version: str) -> ModelVersion:
    """A version of a model by its number.

    Raises:
        MlflowError: when there is none.
    """
    known = version.isascii() and version.isdigit() and len(version) < 10
    found = versions().filter(model=model, version=int(version)).first() if known else None
    if found is None:
        raise MlflowError(
            f"Model Version (name={model.name}, version={version[:40]}) not found", UNKNOWN
        )
    return found


def latest(model: RegisteredModel) -> ModelVersion | None:
    """The version with the highest number."""
    return versions().filter(model=model).order_by("-version").first()


def by_alias(model: RegisteredModel, alias: str) -> ModelVersion:
    """The version behind an alias; that of `champion` with its files as they were adopted.

    Raises:
        MlflowError: when no version has it.
        Conflict: when the decision log, or what was adopted, was altered.
    """
    if alias.lower() == "latest":
        newest = latest(model)
        if newest is None:
            raise MlflowError(f"Latest version not found for model {model.name}.", UNKNOWN)
        return newest
    if alias == CHAMPION:
        return _champion(model)
    number = decode(model.aliases).get(alias)
    if number is None:
        raise MlflowError(f"Registered model alias {alias[:255]} not found.", INVALID)
    return find_version(model, str(number))


def _champion(model: RegisteredModel) -> ModelVersion:
    target = target_of(model.project.slug, model.name)
    log = intact_log(model.project)
    decision = champions.champion(model.project, log, target)
    adopted = adopted_version(decision) if decision is not None else None
    if decision is None:
        why = f"nothing was adopted for {target}" if target else "it is no target's model"
    else:
        why = f"the champion of {target}, decision {decision.sequence}, has no logged model"
    if adopted is None or adopted.name != model.name:
        raise MlflowError(f"Registered model alias {CHAMPION} not found: {why}.", INVALID)
    version = find_version(model, str(adopted.version))
    _check_content(version, adopted)
    return version


def _check_content(version: ModelVersion, adopted: AdoptedVersion) -> None:
    """Compare what a version leads to with what was adopted."""
    found = files_of(adopted.trial, adopted.folder)
    same = (version.trial_id, version.folder) == (adopted.trial, adopted.folder)
    if not same or found is None or found.sha256 != adopted.sha256:
        raise MlflowError(
            f"The files of {adopted.name} version {adopted.version} are not those that were "
            "adopted. Keep what is deployed, and tell the operator.",
            "BAD_REQUEST",
        )


def champion_versions(models: Sequence[RegisteredModel]) -> _Pairs:
    """By model the version that its target's champion is; none of projects whose log is not
    what was written. At most three queries.
    """
    named = {model.pk: target_of(model.project.slug, model.name) for model in models}
    wanted = [model for model in models if named[model.pk]]
    logs = check_logs({model.project_id: model.project.slug for model in wanted})
    made = {
        model.pk: logs[model.project_id].champions.get(named[model.pk])
        for model in wanted
        if not logs[model.project_id].problems
    }
    decisions = Decision.objects.in_bulk([pk for pk in made.values() if pk is not None])
    found = {}
    for model in wanted:
        decision = decisions.get(made.get(model.pk) or 0)
        adopted = adopted_version(decision) if decision is not None else None
        if adopted is not None and adopted.name == model.name:
            found[model.pk] = adopted.version
    return found


def read(models: Sequence[RegisteredModel]) -> list[dict[str, Any]]:
    """Registered models in MLflow's shape, each with its latest version."""
    champion = champion_versions(models)
    alive = ModelVersion.objects.filter(model=OuterRef("model"), deleted_at__isnull=True)
    last = Subquery(alive.order_by("-version").values("version")[:1])
    rows = versions().filter(model__in=models, version=last)
    newest = {version.model_id: version for version in rows}
    return [_model(model, newest.get(model.pk), champion) for model in models]


def _aliases(model: RegisteredModel, champion: _Pairs) -> dict[str, int]:
    found = dict(decode(model.aliases))
    if model.pk in champion:
        found[CHAMPION] = champion[model.pk]
    return found


def _model(row: RegisteredModel, newest: ModelVersion | None, champion: _Pairs) -> dict[str, Any]:
    aliases = _aliases(row, champion)
    return {
        "name": row.name,
        "creation_timestamp": milliseconds(row.created_at),
        "last_updated_timestamp": milliseconds(row.updated_at),
        "description": row.description,
        "latest_versions": [_version(newest, champion)] if newest else [],
        "tags": _tags(row.tags),
        "aliases": [{"alias": key, "version": str(number)} for key, number in aliases.items()],
    }


def read_versions(found: Sequence[ModelVersion]) -> list[dict[str, Any]]:
    """Versions in MLflow's shape."""
    models = {version.model_id: version.model for version in found}
    champion = champion_versions(list(models.values()))
    return [_version(version, champion) for version in found]


def _version(row: ModelVersion, champion: _Pairs) -> dict[str, Any]:
    aliases = _aliases(row.model, champion)
    return {
        "name": row.model.name,
        "version": str(row.version),
        "creation_timestamp": milliseconds(row.created_at),
        "last_updated_timestamp": milliseconds(row.updated_at),
        "user_id": row.registered_by,
        "current_stage": "None",
        "description": row.description,
        "source": row.source,
        "run_id": row.trial.run_id.hex if row.trial and row.trial.run_id else "",
        "status": "READY",
        "tags": _tags(row.tags),
        "aliases": [key for key, number in aliases.items() if number == row.version],
        "model_id": row.logged_model.key if row.logged_model else "",
    }


def _tags(text: str) -> list[dict[str, str]]:
    return [{"key": key, "value": str(value)} for key, value in decode(text).items()]


def download_uri(version: ModelVersion) -> str:
    """Address of a version's files, through this server.

    Raises:
        MlflowError: when its run was deleted for good.
    """
    trial = version.trial
    if trial is None or (trial.run_id is None and version.logged_model is None):
        raise MlflowError(
            f"The run of {version.model.name} version {version.version} was deleted.", UNKNOWN
        )
    experiment = trial.study.experiment_id
    if version.logged_model is not None:
        return f"mlflow-artifacts:/{experiment}/models/{version.logged_model.key}/artifacts"
    run = trial.run_id.hex if trial.run_id else ""
    return f"mlflow-artifacts:/{experiment}/{run}/artifacts/{version.folder}"
