"""Models that programs log: announced, completed, tagged, deleted."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from experiments.errors import NotAllowed
from experiments.models import LoggedModel, ModelVersion
from experiments.models import trial_encoding as encoding
from experiments.tracking.mlflow_errors import UNKNOWN, MlflowError
from experiments.tracking.queries.mlflow_runs import FoundRun
from experiments.tracking.services.mlflow_runs import not_active
from experiments.trials.artifacts.queries.deployable_models import READY

PENDING, FAILED = "LOGGED_MODEL_PENDING", "LOGGED_MODEL_UPLOAD_FAILED"
STATUSES = (PENDING, READY, FAILED)


def create(
    *,
    run: FoundRun,
    name: str,
    model_type: str,
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> str:
    """Announce a model of a run; its files follow. Returns its id.

    Raises:
        MlflowError: when the run was deleted.
    """
    if run.deleted:
        raise not_active("run", run.run_id)
    key = f"m-{uuid.uuid4().hex}"
    LoggedModel.objects.create(
        key=key,
        trial_id=run.id,
        name=name or f"model-{key[2:10]}",
        model_type=model_type,
        status=PENDING,
        params=encoding.encode(dict(params)),
        tags=encoding.encode(dict(tags)),
    )
    return key


def complete(*, model_id: int, status: str) -> None:
    """Say that all files of a model have come, or that they will not."""
    LoggedModel.objects.filter(pk=model_id).update(status=status, updated_at=timezone.now())


def add(*, model_id: int, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Add parameters and set tags."""
    with transaction.atomic():
        row = LoggedModel.objects.select_for_update().get(pk=model_id)
        row.params = encoding.encode({**encoding.decode(row.params), **params})
        row.tags = encoding.encode({**encoding.decode(row.tags), **tags})
        row.save(update_fields=["params", "tags", "updated_at"])


def remove_tag(*, model_id: int, key: str) -> None:
    """Remove a tag.

    Raises:
        MlflowError: when there is none of that name.
    """
    with transaction.atomic():
        row = LoggedModel.objects.select_for_update().get(pk=model_id)
        tags = encoding.decode(row.tags)
        if key not in tags:
            raise MlflowError(f"No tag with name: {key[:200]}", UNKNOWN)
        del tags[key]
        row.tags = encoding.encode(tags)
        row.save(update_fields=["tags", "updated_at"])


def delete(*, model_id: int) -> None:
    """Leave a model out of lists; its files stay with its run.

    Raises:
        NotAllowed: for one that a decision made a version of the registry.
    """
    made = ModelVersion.objects.filter(logged_model_id=model_id, decision__isnull=False)
    version = made.select_related("model").first()
    if version is not None:
        raise NotAllowed(
            f"A decision made this version {version.version} of {version.model.name}; it stays."
        )
    LoggedModel.objects.filter(pk=model_id).update(deleted_at=timezone.now())


def give_out(*, run: FoundRun, steps: Mapping[str, int]) -> None:
    """Record at which step a run gave out its models."""
    for key, step in steps.items():
        LoggedModel.objects.filter(trial_id=run.id, key=key).update(step=step)
