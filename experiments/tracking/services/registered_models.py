"""Registered models and versions as programs write them; the alias `champion` is the log's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils import timezone

from experiments.decisions.registered_models import CHAMPION
from experiments.decisions.services.adopted_models import next_number
from experiments.errors import NotAllowed
from experiments.models import ModelVersion, RegisteredModel
from experiments.models import trial_encoding as encoding
from experiments.models.project import Role
from experiments.team.queries.access import Access
from experiments.tracking.mlflow_errors import TAKEN, MlflowError, too_long

LONGEST_ALIAS = 255


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version that a client registers: files in a folder of a run.

    `logged_model_id` is that of the logged model whose files they are, where they are one's.
    """

    trial_id: int
    folder: str
    source: str
    logged_model_id: int | None = None
    description: str = ""
    tags: Mapping[str, str] | None = None


def create(*, access: Access, name: str, description: str, tags: Mapping[str, str]) -> int:
    """Register a name; returns the id of the model.

    Raises:
        NotAllowed: when the user is not an editor of the project.
        MlflowError: when the name is taken.
    """
    access.require(Role.EDITOR)
    try:
        with transaction.atomic():
            made = RegisteredModel.objects.create(
                project_id=access.project_id,
                name=name,
                description=description,
                tags=encoding.encode(dict(tags)),
            )
    except IntegrityError:
        raise _taken(name) from None
    return made.pk


def _taken(name: str) -> MlflowError:
    return MlflowError(f"Registered Model (name={name}) already exists.", TAKEN)


def describe(*, access: Access, model: RegisteredModel, description: str) -> None:
    """Set a model's description."""
    access.require(Role.EDITOR)
    _change(model, description=description)


def rename(*, access: Access, model: RegisteredModel, name: str) -> None:
    """Give a model another name.

    Raises:
        NotAllowed: for a model with a version that a decision made.
        MlflowError: when the name is taken.
    """
    access.require(Role.EDITOR)
    try:
        with transaction.atomic():
            _locked(model)
            _check_undecided(model)
            _change(model, name=name)
    except IntegrityError:
        raise _taken(name) from None


def delete(*, access: Access, model: RegisteredModel) -> None:
    """Delete a model with its versions; their files stay with their runs.

    Raises:
        NotAllowed: for a model with a version that a decision made.
    """
    access.require(Role.EDITOR)
    with transaction.atomic():
        _locked(model)
        _check_undecided(model)
        _change(model, deleted_at=timezone.now())


def _locked(model: RegisteredModel) -> RegisteredModel:
    return RegisteredModel.objects.select_for_update().get(pk=model.pk)


def _change(model: RegisteredModel, **columns: object) -> None:
    RegisteredModel.objects.filter(pk=model.pk).update(updated_at=timezone.now(), **columns)


def _check_undecided(model: RegisteredModel) -> None:
    made = model.versions.filter(decision__isnull=False).order_by("-version").first()
    if made is not None:
        raise NotAllowed(
            f"A decision made version {made.version} of {model.name}: the registered model stays "
            "as it is."
        )


def set_tag(*, access: Access, model: RegisteredModel, key: str, value: str) -> None:
    """Set a tag of a model."""
    access.require(Role.EDITOR)
    with transaction.atomic():
        tags = {**encoding.decode(_locked(model).tags), key: value}
        _change(model, tags=encoding.encode(tags))


def delete_tag(*, access: Access, model: RegisteredModel, key: str) -> None:
    """Remove a tag of a model, where it has it."""
    access.require(Role.EDITOR)
    with transaction.atomic():
        tags = encoding.decode(_locked(model).tags)
        tags.pop(key, None)
        _change(model, tags=encoding.encode(tags))


def set_alias(*, access: Access, model: RegisteredModel, alias: str, version: int) -> None:
    """Let an alias name a version of a model.

    Raises:
        NotAllowed: for the alias that decisions move.
        MlflowError: for a name that cannot be one.
    """
    access.require(Role.EDITOR)
    _check_alias(alias)
    if alias.lower() == "latest":
        raise MlflowError("'latest' alias name (case insensitive) is reserved.")
    if re.fullmatch(r"[vV]\d+", alias):
        raise MlflowError(f"Version alias name '{alias}' is reserved.")
    with transaction.atomic():
        aliases = {**encoding.decode(_locked(model).aliases), alias: version}
        _change(model, aliases=encoding.encode(aliases))


def delete_alias(*, access: Access, model: RegisteredModel, alias: str) -> None:
    """Remove an alias, where the model has it. Raises as `set_alias` does."""
    access.require(Role.EDITOR)
    _check_alias(alias)
    with transaction.atomic():
        aliases = encoding.decode(_locked(model).aliases)
        aliases.pop(alias, None)
        _change(model, aliases=encoding.encode(aliases))


def _check_alias(alias: str) -> None:
    if not re.fullmatch(r"[\w\-]+", alias):
        raise MlflowError(
            f"Invalid alias name: '{alias[:100]}'. Names may only contain alphanumerics, "
            "underscores (_), and dashes (-)."
        )
    if len(alias) > LONGEST_ALIAS:
        raise too_long("Registered model alias name", LONGEST_ALIAS)
    if alias.lower() == CHAMPION:
        raise NotAllowed(
            f"Only a decision moves the alias {CHAMPION}: adopt or revert in Verdict, or choose "
            "another alias."
        )


def add_version(*, access: Access, model: RegisteredModel, new: NewVersion) -> int:
    """Register a version of a model; returns its number.

    Raises:
        NotAllowed: when the user is not an editor of the project.
    """
    access.require(Role.EDITOR)
    with transaction.atomic():
        made = ModelVersion.objects.create(
            model=_locked(model),
            version=next_number(model),
            trial_id=new.trial_id,
            logged_model_id=new.logged_model_id,
            folder=new.folder,
            source=new.source,
            registered_by=access.username,
            description=new.description,
            tags=encoding.encode(dict(new.tags or {})),
        )
        _change(model)
    return made.version


def describe_version(*, access: Access, version: ModelVersion, description: str) -> None:
    """Set a version's description."""
    access.require(Role.EDITOR)
    _change_version(version, description=description)


def delete_version(*, access: Access, version: ModelVersion) -> None:
    """Delete a version and the aliases that name it; its files stay with their run.

    Raises:
        NotAllowed: for one that a decision made.
    """
    access.require(Role.EDITOR)
    if version.decision_id is not None:
        raise NotAllowed(f"A decision made version {version.version} of {version.model.name}; "
                         "it stays.")  # fmt: skip
    with transaction.atomic():
        aliases = encoding.decode(_locked(version.model).aliases)
        others = {key: number for key, number in aliases.items() if number != version.version}
        _change_version(version, deleted_at=timezone.now())
        _change(version.model, aliases=encoding.encode(others))


def set_version_tag(*, access: Access, version: ModelVersion, key: str, value: str) -> None:
    """Set a tag of a version."""
    access.require(Role.EDITOR)
    with transaction.atomic():
        tags = {**_version_tags(version), key: value}
        _change_version(version, tags=encoding.encode(tags))


def delete_version_tag(*, access: Access, version: ModelVersion, key: str) -> None:
    """Remove a tag of a version, where it has it."""
    access.require(Role.EDITOR)
    with transaction.atomic():
        tags = _version_tags(version)
        tags.pop(key, None)
        _change_version(version, tags=encoding.encode(tags))


def _version_tags(version: ModelVersion) -> dict[str, str]:
    locked = ModelVersion.objects.select_for_update().get(pk=version.pk)
    tags: dict[str, str] = encoding.decode(locked.tags)
    return tags


def _change_version(version: ModelVersion, **columns: object) -> None:
    ModelVersion.objects.filter(pk=version.pk).update(updated_at=timezone.now(), **columns)
