"""Models that programs logged, as MLflow's clients read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from experiments.models import ApiToken, LoggedModel
from experiments.models.trial_encoding import decode
from experiments.team.queries import access
from experiments.tracking.mlflow_errors import UNKNOWN, MlflowError
from experiments.tracking.run_texts import milliseconds
from experiments.trials.table import filter_language
from experiments.trials.table.filter_language import Comparison, Joined


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A logged model as a call that names it meets it."""

    id: int
    key: str
    run_id: str
    shape: dict[str, Any]


def _opened(token: ApiToken, slug: str) -> QuerySet[LoggedModel]:
    rows = LoggedModel.objects.filter(
        deleted_at__isnull=True, trial__study__project__in=access.visible_projects(token.owner)
    ).select_related("trial__study")
    if token.project_id is not None:
        rows = rows.filter(trial__study__project_id=token.project_id)
    return rows.filter(trial__study__project__slug=slug) if slug else rows


def find(token: ApiToken, slug: str, key: str) -> FoundModel:
    """The model behind an id.

    Raises:
        MlflowError: when there is none that the token may know of.
    """
    row = _opened(token, slug).filter(key=key[:40]).first()
    if row is None or row.trial.run_id is None:
        raise MlflowError(f"Logged model with ID '{key[:100]}' not found.", UNKNOWN)
    return FoundModel(row.pk, row.key, row.trial.run_id.hex, _shape(row))


def _shape(row: LoggedModel) -> dict[str, Any]:
    experiment = row.trial.study.experiment_id
    info = {
        "model_id": row.key,
        "experiment_id": str(experiment),
        "name": row.name,
        "creation_timestamp_ms": milliseconds(row.created_at),
        "last_updated_timestamp_ms": milliseconds(row.updated_at),
        "artifact_uri": f"mlflow-artifacts:/{experiment}/models/{row.key}/artifacts",
        "status": row.status,
        "model_type": row.model_type,
        "source_run_id": row.trial.run_id.hex if row.trial.run_id else "",
        "tags": _pairs(row.tags),
    }
    return {"info": info, "data": {"params": _pairs(row.params), "metrics": []}}


def _pairs(text: str) -> list[dict[str, str]]:
    return [{"key": key, "value": str(value)} for key, value in decode(text).items()]


def search(
    token: ApiToken,
    slug: str,
    experiment_ids: Sequence[int],
    *,
    filter_text: str,
    offset: int,
    most: int,
) -> tuple[list[dict[str, Any]], bool]:
    """A page of models, the newest first, and whether there are more.

    Raises:
        MlflowError: for a filter on anything but name, model_id, source_run_id and model_type,
            or one with or, or with conditions in parentheses.
    """
    rows = _opened(token, slug).filter(trial__study__experiment_id__in=experiment_ids)
    for compared in _compared(filter_text):
        columns = {
            "name": "name",
            "model_id": "key",
            "model_type": "model_type",
            "source_run_id": "trial__run_id",
        }
        field = compared.field
        column = columns.get(field.name) if field.entity == "attribute" else None
        value = compared.value
        if column is None or compared.operator != "=" or not isinstance(value, str):
            raise MlflowError(
                "Logged models are found by name, model_id, model_type or source_run_id = '...'."
            )
        if column == "trial__run_id" and not re.fullmatch(r"[0-9a-f]{32}", value):
            return [], False
        rows = rows.filter(**{column: value})
    found = list(rows.order_by("-pk")[offset : offset + most + 1])
    return [_shape(row) for row in found[:most]], len(found) > most


def _compared(text: str) -> list[Comparison]:
    condition = filter_language.parse(text)
    if condition is None:
        return []
    parts = condition.parts if isinstance(condition, Joined) else (condition,)
    found = [part for part in parts if isinstance(part, Comparison)]
    nested = len(found) < len(parts)
    if nested or (isinstance(condition, Joined) and condition.word != "and"):
        raise MlflowError("Conditions on logged models are joined by and, without parentheses.")
    return found
