"""Files of trials: checkpoints that are kept or dropped, and what programs printed."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from experiments.models import Artifact, Experiment, Trial
from experiments.trials.artifacts.services import orphans
from experiments.trials.lifecycle.services.attempts import require_attempt

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint"
OUTPUT = "output"
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that lies whole in the folder of artifacts; `path` is relative to it."""

    path: str
    size: int
    sha256: str
    step: float | None = None
    value: float | None = None


def keep_checkpoint(*, trial_id: int, attempt: int, file: NewFile, kind: str = CHECKPOINT) -> None:
    """Record a checkpoint of a running attempt, and drop those of its kind that are neither among
    the last CHECKPOINTS_KEEP_LAST nor among the CHECKPOINTS_KEEP_BEST by the official metric.

    Raises:
        TrialFenced, TrialFinished, NotFound: when the attempt does not hold the trial.
    """
    with transaction.atomic():
        require_attempt(trial_id=trial_id, attempt=attempt)
        _record(kind, trial_id, attempt, file)
        held = list(
            Artifact.objects.filter(trial_id=trial_id, kind=kind).order_by("attempt", "pk")
        )
        gone = _dropped(held, maximize=_maximizes(trial_id))
        Artifact.objects.filter(pk__in=[each.pk for each in gone]).delete()
        transaction.on_commit(partial(remove_files, [each.path for each in gone]))


def keep_output(*, trial_id: int, attempt: int, file: NewFile) -> None:
    """Record all that an attempt's program printed."""
    with transaction.atomic():
        require_attempt(trial_id=trial_id, attempt=attempt)
        _record(OUTPUT, trial_id, attempt, file)


def remove_files(paths: Iterable[str]) -> None:
    """Delete files of the folder of artifacts; one that is gone already is no error."""
    for path in paths:
        try:
            whole_path(path).unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            logger.warning("%s could not be deleted: %s", path, error)


def remove_files_of(trials: QuerySet[Trial]) -> None:
    """Delete what trials have left on this machine, once their own deletion is committed:
    recorded files that nothing else records, and what was never recorded.
    """
    recorded = Artifact.objects.filter(trial__in=trials).values_list("path", flat=True)
    left = list(recorded), list(trials.values_list("pk", flat=True))
    transaction.on_commit(partial(_remove_left, *left))


def _remove_left(paths: list[str], trials: list[int]) -> None:
    for start in range(0, len(paths), _AT_ONCE):
        part = paths[start : start + _AT_ONCE]
        held = Artifact.objects.filter(path__in=part).values_list("path", flat=True)
        remove_files(set(part) - set(held))
    orphans.remove(orphans.of_trials(trials))
    orphans.remove_empty_folders(trials)


def whole_path(path: str) -> Path:
    """Path of a recorded file.

    Raises:
        ValueError: for a path that leads out of the folder of artifacts.
    """
    folder = Path(settings.ARTIFACTS_DIR).resolve()
    found = (folder / path).resolve()
    if not found.is_relative_to(folder):
        raise ValueError(f"{path} does not lie in the folder of artifacts")
    return found


def _record(kind: str, trial_id: int, attempt: int, file: NewFile) -> None:
    whole_path(file.path)
    value = file.value if file.value is not None and math.isfinite(file.value) else None
    Artifact.objects.update_or_create(
        trial_id=trial_id,
        kind=kind,
        name=Path(file.path).name,
        defaults={
            "path": file.path,
            "size": file.size,
            "sha256": file.sha256,
            "step": file.step,
            "attempt": attempt,
            "value": value,
        },
    )


def _dropped(held: list[Artifact], *, maximize: bool) -> list[Artifact]:
    """All but the last ones and the best ones (the first of equals)."""
    keep = {each.pk for each in held[-settings.CHECKPOINTS_KEEP_LAST :]}
    scored = [each for each in held if each.value is not None]
    scored.sort(key=lambda each: each.value or 0.0, reverse=maximize)
    keep |= {each.pk for each in scored[: settings.CHECKPOINTS_KEEP_BEST]}
    return [each for each in held if each.pk not in keep]


def _maximizes(trial_id: int) -> bool:
    direction = Experiment.objects.filter(studies__trials=trial_id).values_list("direction")
    return direction.first() == ("maximize",)
