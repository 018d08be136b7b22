"""What a training process is told about a claimed trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from experiments.fidelity import Rung
from experiments.queries import artifacts
from experiments.queries.assignments import Assignment
from workers.messages import CheckpointFile, Checkpoints, Job


def job_of(
    assignment: Assignment,
    parameters: Mapping[str, Any],
    rungs: tuple[Rung, ...],
    checkpoints: Checkpoints,
) -> Job:
    """The job of one attempt, with all its parameters."""
    return Job(
        label=assignment.label,
        objective=assignment.objective,
        allowed=tuple(settings.OBJECTIVES),
        params=dict(parameters),
        train_seed=assignment.train_seed,
        split_seed=assignment.split_seed,
        search_seed=assignment.search_seed,
        official_metric=assignment.official_metric,
        direction="minimize" if assignment.direction == "minimize" else "maximize",
        splits={name: metric.split for name, metric in assignment.metrics.items()},
        pruning=assignment.pruner != "none",
        early_stopping=assignment.early_stopping,
        budget=assignment.budget,
        fidelity=assignment.fidelity.name if assignment.fidelity else "",
        rungs=rungs,
        folds=assignment.folds,
        data=assignment.runs.data,
        data_must_be_read=assignment.arms_differ_in_data,
        checkpoints=checkpoints,
    )


def checkpoints_of(assignment: Assignment) -> Checkpoints:
    """Where an attempt's checkpoints go, and those of the attempts before it."""
    first = assignment.attempt <= 1
    return Checkpoints(
        folder=str(settings.ARTIFACTS_DIR),
        place=f"trials/{assignment.trial_id}",
        attempt=assignment.attempt,
        largest=settings.CHECKPOINT_MEGABYTES * 2**20,
        seconds=settings.CHECKPOINT_SECONDS,
        saved=tuple(
            CheckpointFile(
                each.path, each.step or 0, each.attempt, each.size, each.sha256, each.value
            )
            for each in (() if first else artifacts.checkpoints(assignment.trial_id))
        ),
    )
