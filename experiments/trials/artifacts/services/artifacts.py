"""Files of trials: checkpoints that are kept or dropped, and what programs printed."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from experiments.models import Artifact, Experiment, Trial
from experiments.trials.artifacts.services import orphans
from experiments.trials.artifacts.storage import local_path, remove_local, storage
from experiments.trials.lifecycle.services.attempts import require_attempt

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint"
OUTPUT = "output"
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that lies whole in this machine's folder of artifacts; `path` is relative to it."""

    path: str
    size: int
    sha256: str
    step: float | None = None
    value: float | None = None


def keep_checkpoint(*, trial_id: int, attempt: int, file: NewFile, kind: str = CHECKPOINT) -> None:
    """Store a checkpoint of a running attempt, and drop those of its kind that are neither among
    the last CHECKPOINTS_KEEP_LAST nor among the CHECKPOINTS_KEEP_BEST by the official metric.

    Raises:
        TrialFenced, TrialFinished, NotFound: when the attempt does not hold the trial.
        OSError: when the store does not take it.
    """
    send(file.path)
    with transaction.atomic():
        require_attempt(trial_id=trial_id, attempt=attempt)
        _record(kind, trial_id, attempt, file)
        stored = list(
            Artifact.objects.filter(trial_id=trial_id, kind=kind).order_by("attempt", "pk")
        )
        gone = _dropped(stored, maximize=_maximizes(trial_id))
        Artifact.objects.filter(pk__in=[checkpoint.pk for checkpoint in gone]).delete()
        transaction.on_commit(partial(remove_files, [checkpoint.path for checkpoint in gone]))


def keep_file(*, trial_id: int, attempt: int, file: NewFile, kind: str = OUTPUT) -> None:
    """Store all that an attempt's program printed, or what of its code is not committed.

    Raises as `keep_checkpoint` does.
    """
    send(file.path)
    with transaction.atomic():
        require_attempt(trial_id=trial_id, attempt=attempt)
        _record(kind, trial_id, attempt, file)


def send(path: str) -> None:
    """Send a file that lies whole in this machine's folder to the store, where that is another.

    Its working copy stays: its trial may go on from it here.
    """
    whole = local_path(path)
    if storage().is_remote:
        storage().put(path, whole)


def remove_files(paths: Collection[str]) -> None:
    """Delete files from the store and from this machine. What a store that is away keeps is left
    to the next sweep.
    """
    try:
        storage().remove(paths)
    except OSError as error:
        logger.warning("%d files could not be deleted: %s", len(paths), error)
    if storage().is_remote:
        remove_local(paths)


def remove_working_copies(trial_id: int) -> None:
    """Free this machine's disk of what the store has, once an attempt has ended here."""
    if storage().is_remote:
        orphans.remove_local_folder(trial_id)


def remove_files_of(trials: QuerySet[Trial]) -> None:
    """Delete what trials have left in the store and on this machine, once their own deletion is
    committed: recorded files that nothing else records, and what was never recorded.
    """
    recorded = Artifact.objects.filter(trial__in=trials).values_list("path", flat=True)
    left = list(recorded), list(trials.values_list("pk", flat=True))
    transaction.on_commit(partial(_remove_left, *left))


def _remove_left(paths: list[str], trials: list[int]) -> None:
    for start in range(0, len(paths), _AT_ONCE):
        part = paths[start : start + _AT_ONCE]
        recorded = Artifact.objects.filter(path__in=part).values_list("path", flat=True)
        remove_files(set(part) - set(recorded))
    if storage().is_remote:  # to look there for each trial would take long; the sweep does it
        for trial in trials:
            orphans.remove_local_folder(trial)
    else:
        orphans.remove(orphans.of_trials(trials))
        orphans.remove_empty_folders(trials)


def _record(kind: str, trial_id: int, attempt: int, file: NewFile) -> None:
    value = file.value if file.value is not None and math.isfinite(file.value) else None
    Artifact.objects.update_or_create(
        trial_id=trial_id,
        kind=kind,
        name=PurePosixPath(file.path).name,
        defaults={
            "path": file.path,
            "size": file.size,
            "sha256": file.sha256,
            "step": file.step,
            "attempt": attempt,
            "value": value,
        },
    )


def _dropped(stored: list[Artifact], *, maximize: bool) -> list[Artifact]:
    """All but the last ones and the best ones (the first of equals)."""
    keep = {checkpoint.pk for checkpoint in stored[-settings.CHECKPOINTS_KEEP_LAST :]}
    scored = [checkpoint for checkpoint in stored if checkpoint.value is not None]
    scored.sort(key=lambda checkpoint: checkpoint.value or 0.0, reverse=maximize)
    keep |= {checkpoint.pk for checkpoint in scored[: settings.CHECKPOINTS_KEEP_BEST]}
    return [checkpoint for checkpoint in stored if checkpoint.pk not in keep]


def _maximizes(trial_id: int) -> bool:
    direction = Experiment.objects.filter(studies__trials=trial_id).values_list("direction")
    return direction.first() == ("maximize",)
