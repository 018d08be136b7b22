"""Deployable checkpoint behind a decision, and the score stated for it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from experiments.design.queries.records import AnyReplication
from experiments.models import Artifact, Decision, Trial
from experiments.models.trial import TrialState

KIND = "checkpoint"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file of a trial; `bytes` is its size."""

    trial: int
    step: float | None
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class StatedScore:
    """Mean of `n` fresh seeds, in the unit of the official metric."""

    mean: float
    n: int
    metric: str


def score_of(decision: Decision) -> StatedScore | None:
    """The mean over the candidate's frozen replicates that have a score; None without any."""
    evidence = json.loads(decision.evidence or "{}")
    scores = [run.get("score") for run in _candidates(evidence)]
    finite = [float(score) for score in scores if isinstance(score, int | float)]
    if not finite:
        return None
    return StatedScore(sum(finite) / len(finite), len(finite), str(evidence.get("metric", "")))


def checkpoint_of(decision: Decision) -> Checkpoint | None:
    """The checkpoint to deploy: as it was frozen, else the best of the first replicate that has
    one. None where training keeps none, or the file is gone."""
    evidence = json.loads(decision.evidence or "{}")
    frozen = evidence.get("checkpoint")
    if isinstance(frozen, dict):
        found = Checkpoint(**frozen)
        return found if path_of(found) else None
    trials = [run.get("trial") for run in _candidates(evidence)]
    ids = [trial for trial in trials if isinstance(trial, int)]
    known = Trial.objects.filter(pk__in=ids, study__project_id=decision.project_id)
    return _first_with_one(
        [trial_id for trial_id in ids if trial_id in set(known.values_list("pk", flat=True))]
    )


def best_checkpoint(replication: AnyReplication, trial_id: int | None = None) -> Checkpoint | None:
    """The best checkpoint of the candidate's first replicate, or of the one that is named."""
    rows = Trial.objects.replicates_of(replication).filter(
        configuration_id=replication.candidate_id, state=TrialState.COMPLETE
    )
    if trial_id is not None:
        rows = rows.filter(pk=trial_id)
    return _first_with_one(rows.order_by("pair", "number").values_list("pk", flat=True)[:1])


def checkpoints_of(replication: AnyReplication) -> list[tuple[int, Checkpoint]]:
    """Deployable checkpoints: for each complete replicate of the candidate that has a checkpoint
    its pair, counted from 1, and its best one. The first is taken unless a decision names another.
    """
    with_checkpoints = Trial.objects.replicates_of(replication).filter(
        configuration_id=replication.candidate_id,
        state=TrialState.COMPLETE,
        artifacts__kind=KIND,
    )
    rows = with_checkpoints.order_by("pair", "number").values_list("pk", "pair").distinct()
    found = [(1 + (pair or 0), _first_with_one([pk])) for pk, pair in rows]
    return [(pair, checkpoint) for pair, checkpoint in found if checkpoint is not None]


def trials_cited() -> frozenset[int]:
    """Trials whose checkpoint a decision has frozen as what is to be deployed."""
    rows = Decision.objects.filter(evidence__contains='"checkpoint"')
    frozen = (
        json.loads(text).get("checkpoint") for text in rows.values_list("evidence", flat=True)
    )
    return frozenset(document["trial"] for document in frozen if isinstance(document, dict))


def path_of(checkpoint: Checkpoint) -> str:
    """Path of its file in the folder of artifacts; "" when it is recorded no more."""
    rows = Artifact.objects.filter(
        trial_id=checkpoint.trial, kind=KIND, sha256=checkpoint.sha256, size=checkpoint.bytes
    )
    return rows.order_by("-pk").values_list("path", flat=True).first() or ""


def as_document(checkpoint: Checkpoint | None) -> dict[str, Any] | None:
    """The same as plain data, to be frozen."""
    return asdict(checkpoint) if checkpoint else None


def _candidates(evidence: Any) -> list[dict[str, Any]]:
    """The candidate's frozen replicates in the order of their pairs."""
    runs = (evidence.get("replicates") or {}).get("candidate") or []
    found = [run for run in runs if isinstance(run, dict)]
    return sorted(found, key=lambda run: run.get("pair") or 0)


def _first_with_one(trials: Iterable[int]) -> Checkpoint | None:
    first = next(iter(trials), None)
    if first is None:
        return None
    rows = list(Artifact.objects.filter(trial_id=first, kind=KIND).order_by("step", "pk"))
    scored = [row for row in rows if row.value is not None]
    if not rows:
        return None
    direction = (
        Trial.objects.filter(pk=first)
        .values_list("study__experiment__direction", flat=True)
        .first()
    )
    sign = -1.0 if direction == "minimize" else 1.0
    best = max(scored, key=lambda row: sign * (row.value or 0.0)) if scored else rows[-1]
    return Checkpoint(trial=first, step=best.step, sha256=best.sha256, bytes=best.size)
