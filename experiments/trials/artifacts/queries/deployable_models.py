"""Logged model behind a decision: which run's is registered, and what its files are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.models import Artifact, LoggedModel, Replication, Trial
from experiments.models.trial import TrialState
from experiments.models.trial_encoding import decode
from experiments.trials.artifacts.queries.artifacts import LOGGED

READY = "LOGGED_MODEL_READY"
# Tag of a run with the models that clients before MLflow 3 logged beside its files, as JSON.
MODELS_TAG = "mlflow.log-model.history"
_MOST_RUNS = 400  # that are searched for a model


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Files below a folder of a trial; `sha256` is over their names and checksums."""

    files: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DeployableModel:
    """A model that a run logged. `key` is the logged model's, empty for one that a client before
    MLflow 3 logged.
    """

    trial: int
    key: str
    folder: str
    content: ModelFiles


def files_of(trial_id: int, folder: str) -> ModelFiles | None:
    """Files below a folder of a trial, None without any."""
    rows = Artifact.objects.filter(
        trial_id=trial_id, kind__in=LOGGED, name__startswith=f"{folder}/"
    ).order_by("name", "pk")
    # SQLite finds a prefix whatever its case.
    found = [row for row in rows if row.name.startswith(f"{folder}/")]
    if not found:
        return None
    lines = "".join(f"{row.name} {row.sha256}\n" for row in found)
    return ModelFiles(
        len(found), sum(row.size for row in found), hashlib.sha256(lines.encode()).hexdigest()
    )


def model_of(replication: Replication) -> DeployableModel | None:
    """The model that an adopt of the candidate registers, None where no run logged one.

    That of its first complete replicate with one, else of the run that was chosen, else of the
    experiment's first complete run of the same configuration.
    """
    complete = Trial.objects.filter(
        configuration_id=replication.candidate_id,
        state=TrialState.COMPLETE,
        study__deleted_at__isnull=True,
    )
    replicates = complete.filter(pk__in=Trial.objects.replicates_of(replication).values("pk"))
    chosen = complete.filter(pk=replication.candidate_trial_id or 0)
    alike = complete.filter(study__experiment_id=replication.experiment_id)
    for runs in (replicates.order_by("pair", "number"), chosen, alike.order_by("number", "pk")):
        found = _first_model(list(runs.values_list("pk", flat=True)[:_MOST_RUNS]))
        if found is not None:
            return found
    return None


def _first_model(trial_ids: Sequence[int]) -> DeployableModel | None:
    """The model of the first of these runs that logged one: of several that of the last step."""
    logged = LoggedModel.objects.filter(
        trial_id__in=trial_ids, status=READY, deleted_at__isnull=True
    ).order_by("step", "pk")
    by_trial = {model.trial_id: model.key for model in logged}
    described = Trial.objects.filter(pk__in=trial_ids, user_attributes__contains=MODELS_TAG)
    tags = dict(described.values_list("pk", "user_attributes"))
    for pk in trial_ids:
        key = by_trial.get(pk, "")
        folder = f"models/{key}" if key else _described_folder(tags.get(pk, "{}"))
        content = files_of(pk, folder) if folder else None
        if content is not None:
            return DeployableModel(pk, key, folder, content)
    return None


def _described_folder(attributes: str) -> str:
    """Folder of the model that a run described last; "" without one."""
    try:
        found = json.loads(decode(attributes).get(MODELS_TAG, "[]"))
        folder = found[-1]["artifact_path"]
    except (ValueError, LookupError, TypeError):
        return ""
    return folder if isinstance(folder, str) else ""
