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
    spec: TrialSpec,
    parameters: Mapping[str, Any],
    rungs: tuple[Rung, ...],
    checkpoints: Checkpoints,
) -> Job:
    """The job of one attempt, with all its parameters."""
    fidelity = spec.file.fidelity
    return Job(
        label=spec.label,
        objective=spec.objective,
        allowed=tuple(settings.OBJECTIVES),
        params=dict(parameters),
        train_seed=spec.train_seed,
        split_seed=spec.split_seed,
        search_seed=spec.search_seed,
        official_metric=spec.official_metric,
        direction="minimize" if spec.direction == "minimize" else "maximize",
        splits={name: metric.split for name, metric in spec.metrics.items()},
        pruning=spec.file.pruner != "none",
        pruner_seconds=settings.PRUNER_SECONDS,
        early_stopping=spec.file.early_stopping,
        budget=spec.budget,
        fidelity=fidelity.name if fidelity else "",
        rungs=rungs,
        folds=spec.file.folds,
        data=spec.runs.data,
        data_must_be_read=spec.arms_differ_in_data,
        checkpoints=checkpoints,
        command=command_of(spec),
        attempt=spec.attempt,
    )


def checkpoints_of(spec: TrialSpec) -> Checkpoints:
    """Folders of an attempt's checkpoints, and of those of the attempts before it."""
    first = spec.attempt <= 1
    return Checkpoints(
        folder=str(settings.ARTIFACTS_DIR),
        place=f"trials/{spec.trial_id}",
        attempt=spec.attempt,
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
            for checkpoint in (() if first else artifacts.checkpoints(spec.trial_id))
        ),
    )


def command_of(spec: TrialSpec) -> Command | None:
    """The operator's template that an experiment names; None for a Python function.

    Raises:
        ValueError: for one that this worker does not know.
    """
    name = commands.name_of(spec.objective)
    if name is None:
        return None
    problem = commands.problem_of(spec.objective, [spec.runs.commit])
    if problem is not None:
        raise ValueError(": ".join(problem))
    template = commands.templates()[name]
    return Command(
        name=name,
        repository=template.repository,
        arguments=template.arguments,
        commit=spec.runs.commit,
        copies=str(settings.DATA_DIR / "working_copies"),
        folder=str(settings.ARTIFACTS_DIR),
        output=f"trials/{spec.trial_id}/attempt-{spec.attempt}-output.txt",
        largest_output=settings.OUTPUT_MEGABYTES * 2**20,
        run_id=spec.trial_id,
    )
