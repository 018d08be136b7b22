"""Changes of a run that has begun: name, further parameters, resuming."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from experiments.errors import Conflict, Problem
from experiments.models import Trial
from experiments.models import trial_encoding as encoding
from experiments.models.experiment import ExperimentState
from experiments.models.trial import FailureKind, StudyKind, TrialState
from experiments.trials.lifecycle.services import run_ends, runs, trials

MOST_PARAMETERS = 1000
LONGEST_NAME = 500
# Batches of one program; what an earlier one still sends keeps its numbers.
BATCHES = 2**20
_ACCIDENTS = (FailureKind.LOST, FailureKind.EXCEPTION)


@dataclass(frozen=True, slots=True)
class Resumed:
    """A run that goes on: what its program trains, and where it counts on."""

    id: int
    number: int
    experiment: str
    official_metric: str
    direction: str
    params: Mapping[str, Any]
    train_seed: int | None
    split_seed: int | None
    replicate: bool
    next_batch: int
    next_step: int


def resume(*, run_id: int) -> Resumed:
    """Let another program go on with a run that runs, or whose program was ended or lost.

    Raises:
        Conflict: when it has a result, is a replicate that failed, or its experiment was stopped.
    """
    trial = Trial.objects.select_related("study__experiment").get(pk=run_id)
    experiment = trial.study.experiment
    assert experiment is not None
    if trial.state != TrialState.RUNNING:
        if trial.state != TrialState.FAILED or trial.failure_kind not in _ACCIDENTS:
            raise Conflict(f"Run {run_id} has a result and does not go on: start another.")
        if trial.study.kind == StudyKind.REPLICATION:
            raise Conflict(
                f"Run {run_id} is a replicate that failed: repeat it with the same seeds on the "
                "Seeds page."
            )
        if experiment.state == ExperimentState.STOPPED:
            raise Conflict(f"{experiment.name} was stopped ({experiment.stop_reason}).")
        run_ends.reopen(run_id=run_id, failure_kinds=_ACCIDENTS)
    runs.keep_alive(run_id=run_id)
    last = trial.series.aggregate(batch=Max("batch"), step=Max("last_step"))
    return Resumed(
        id=run_id,
        number=trial.number,
        experiment=experiment.name,
        official_metric=experiment.official_metric,
        direction=experiment.direction,
        params=encoding.decode(trial.parameters),
        train_seed=trial.train_seed,
        split_seed=trial.split_seed,
        replicate=trial.study.kind == StudyKind.REPLICATION,
        next_batch=0 if last["batch"] is None else (last["batch"] // BATCHES + 1) * BATCHES,
        next_step=0 if last["step"] is None else last["step"] + 1,
    )


def add_parameters(*, run_id: int, parameters: Mapping[str, Any]) -> None:
    """Record parameters that a program tells after its start; its configuration is theirs, too.

    Raises:
        Conflict: when the run has ended, is a replicate, or has one with another value.
    """
    with transaction.atomic():
        trial = (
            Trial.objects.select_for_update(of=("self",))
            .select_related("study", "configuration")
            .get(pk=run_id)
        )
        if trial.state != TrialState.RUNNING:
            raise Conflict(f"Run {run_id} has ended; its parameters stay.")
        if trial.study.kind == StudyKind.REPLICATION:
            raise Conflict("A replicate trains the declared parameters and no others.")
        every = encoding.decode(trial.parameters)
        problems = [
            Problem(f"params.{name}", f"is {every[name]!r:.100} already")
            for name, value in parameters.items()
            if name in every and every[name] != value
        ]
        if len(every | dict(parameters)) > MOST_PARAMETERS:
            problems.append(Problem("params", f"expected at most {MOST_PARAMETERS}"))
        if problems:
            raise Conflict("Parameters that were recorded stay.", problems)
        new = {name: value for name, value in parameters.items() if name not in every}
        if not new:
            return
        before = json.loads(trial.configuration.document) if trial.configuration else {}
        made = runs.configure(
            project_id=trial.study.project_id,
            parameters={**every, **new},
            commit=before.get("commit", ""),
            data=before.get("data", {}),
        )
        trials.set_parameters(
            trial_id=run_id,
            parameters={name: runs.as_constant(value) for name, value in new.items()},
        )
        Trial.objects.filter(pk=run_id).update(configuration=made, heartbeat_at=timezone.now())


def name_run(*, run_id: int, name: str) -> None:
    """Set the name of a run."""
    Trial.objects.filter(pk=run_id).update(run_name=name[:LONGEST_NAME])
