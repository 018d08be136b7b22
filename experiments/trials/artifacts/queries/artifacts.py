"""Files of trials: which checkpoint a resumed run takes, what may be downloaded."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.models import Artifact, Experiment, Trial

OF_TRAINING = ("checkpoint", "pass checkpoint", "progress")


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A recorded file; `path` is relative to the folder of artifacts."""

    id: int
    trial_id: int
    kind: str
    name: str
    path: str
    size: int
    sha256: str
    step: float | None
    attempt: int
    value: float | None


def checkpoints(trial_id: int) -> list[KeptFile]:
    """All that a trial can go on from, that of the newest attempt first, the latest first."""
    rows = Artifact.objects.filter(trial_id=trial_id, kind__in=OF_TRAINING)
    return [_kept(row) for row in rows.order_by("-attempt", "-pk")]


def file_of(experiment: Experiment, trial: Trial, file_id: int) -> KeptFile | None:
    """A file of this very trial."""
    row = Artifact.objects.filter(
        pk=file_id, trial=trial, trial__study__experiment=experiment
    ).first()
    return _kept(row) if row else None


def _kept(row: Artifact) -> KeptFile:
    return KeptFile(
        id=row.pk,
        trial_id=row.trial_id,
        kind=row.kind,
        name=row.name,
        path=row.path,
        size=row.size,
        sha256=row.sha256,
        step=row.step,
        attempt=row.attempt or 0,
        value=row.value,
    )
