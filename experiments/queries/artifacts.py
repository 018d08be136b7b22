"""Files of trials: which checkpoint a resumed run takes, which one a champion deploys."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.models import Artifact, Decision, Experiment, Trial
from experiments.models.trial import TrialState

CHECKPOINT = "checkpoint"


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
    step: int | None
    attempt: int
    value: float | None


def checkpoints(trial_id: int) -> list[KeptFile]:
    """A trial's checkpoints, those of the newest attempt first, the latest first."""
    rows = Artifact.objects.filter(trial_id=trial_id, kind=CHECKPOINT)
    return [_kept(row) for row in rows.order_by("-attempt", "-pk")]


def file_of(experiment: Experiment, trial: Trial, file_id: int) -> KeptFile | None:
    """A file of this very trial."""
    row = Artifact.objects.filter(
        pk=file_id, trial=trial, trial__study__experiment=experiment
    ).first()
    return _kept(row) if row else None


def deployable(decision: Decision) -> KeptFile | None:
    """The best checkpoint of the candidate's first replicate that was trained to its end; None
    where its training keeps none, or nothing was repeated.
    """
    if decision.replication_id is None or decision.candidate_id is None:
        return None
    replicate = (
        Trial.objects.filter(
            study__replication=decision.replication_id,
            configuration=decision.candidate_id,
            state=TrialState.COMPLETE,
        )
        .select_related("study__experiment")
        .order_by("pair", "number")
        .first()
    )
    if replicate is None:
        return None
    held = checkpoints(replicate.pk)
    scored = [each for each in held if each.value is not None]
    experiment = replicate.study.experiment
    if not scored or experiment is None:
        return held[0] if held else None
    best = max if experiment.direction == "maximize" else min
    return best(scored, key=lambda each: each.value or 0.0)


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
