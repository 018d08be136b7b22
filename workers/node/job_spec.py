"""Job specification of a claimed trial for its training process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.conf import settings

from experiments.design.document import commands
from experiments.design.document.fidelity import Rung
from experiments.trials.artifacts.queries import artifacts
from experiments.trials.lifecycle.queries.trial_spec import TrialSpec
from workers.training.messages import CheckpointFile, CheckpointKind, Checkpoints, Command, Job


def job_of(
    assignment: TrialSpec,
    parameters: Mapping[str, Any],
    rungs: tuple[Rung, ...],
    checkpoints: Checkpoints,
) -> Job:
    """The job of one attempt, with all its parameters."""
    fidelity = assignment.file.fidelity
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
        pruning=assignment.file.pruner != "none",
        pruner_seconds=settings.PRUNER_SECONDS,
        early_stopping=assignment.file.early_stopping,
        budget=assignment.budget,
        fidelity=fidelity.name if fidelity else "",
        rungs=rungs,
        folds=assignment.file.folds,
        data=assignment.runs.data,
        data_must_be_read=assignment.arms_differ_in_data,
        checkpoints=checkpoints,
        command=command_of(assignment),
        attempt=assignment.attempt,
    )


def checkpoints_of(assignment: TrialSpec) -> Checkpoints:
    """Folders of an attempt's checkpoints, and of those of the attempts before it."""
    first = assignment.attempt <= 1
    return Checkpoints(
        folder=str(settings.ARTIFACTS_DIR),
        place=f"trials/{assignment.trial_id}",
        attempt=assignment.attempt,
        largest=settings.CHECKPOINT_MEGABYTES * 2**20,
        largest_file=settings.FILE_MEGABYTES * 2**20,
        seconds=settings.CHECKPOINT_SECONDS,
        saved=tuple(
            CheckpointFile(
                checkpoint.path,
                checkpoint.step or 0,
                checkpoint.attempt,
                checkpoint.size,
                checkpoint.sha256,
                checkpoint.value,
                cast(CheckpointKind, checkpoint.kind),
            )
            for checkpoint in (() if first else artifacts.checkpoints(assignment.trial_id))
        ),
    )


def command_of(assignment: TrialSpec) -> Command | None:
    """The operator's template that an experiment names; None for a Python function.

    Raises:
        ValueError: for one that this worker does not know.
    """
    name = commands.name_of(assignment.objective)
    if name is None:
        return None
    problem = commands.problem_of(assignment.objective, [assignment.runs.commit])
    if problem is not None:
        raise ValueError(": ".join(problem))
    template = commands.templates()[name]
    return Command(
        name=name,
        repository=template.repository,
        arguments=template.arguments,
        commit=assignment.runs.commit,
        copies=str(settings.DATA_DIR / "working_copies"),
        folder=str(settings.ARTIFACTS_DIR),
        output=f"trials/{assignment.trial_id}/attempt-{assignment.attempt}-output.txt",
        largest_output=settings.OUTPUT_MEGABYTES * 2**20,
        run_id=assignment.trial_id,
    )
