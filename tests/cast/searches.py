"""Searches in each of their states."""

from __future__ import annotations

import ast
import datetime as dt
import json
from dataclasses import asdict
from pathlib import Path
from zlib import crc32

import numpy as np
from django.utils import timezone

from experiments.design.document.objective_source import find_function
from experiments.models import Experiment, Trial, Worker
from experiments.models.experiment import ExperimentState
from experiments.models.trial import FailureKind, TrialState
from experiments.trials.lifecycle.services import experiments, queue, trials, workers
from tests.cast.experiment_files import GOAL, LABEL_SMOOTHING
from tests.cast.people import access
from tests.cast.training_curves import START
from tests.cast.training_runs import finished_trial, running_trial

DIGITS = Path(__file__).parents[2] / "workers" / "problems" / "digits.py"


def search(
    name: str = "label-smoothing",
    *,
    trials_per_arm: int = 12,
    goal: str = GOAL,
    source: str = "",
) -> Experiment:
    """An experiment with two arms, just created."""
    text = source or LABEL_SMOOTHING.format(name=name, goal=goal, trials=trials_per_arm)
    return experiments.create(access=access("ada"), text=text)


def finished_search(name: str = "label-smoothing", *, trials_per_arm: int = 12) -> Experiment:
    """A search whose budget is used."""
    experiment = search(name, trials_per_arm=trials_per_arm)
    _run(experiment, trials_per_arm)
    end(experiment)
    experiment.refresh_from_db()
    return experiment


def finish_search(experiment: Experiment, count: int = 3) -> None:
    """Let every study of a search end with so many trials."""
    _run(experiment, count)
    end(experiment)


def end(experiment: Experiment, state: str = ExperimentState.FINISHED) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(
        state=state, finished_at=START + dt.timedelta(minutes=9), stop_reason="all trials done"
    )


def offering_worker() -> Worker:
    """A living worker that offers the training function of the digits."""
    function = find_function(
        "workers.problems.digits", ast.parse(DIGITS.read_text(encoding="utf-8")), "train"
    )
    assert function is not None
    worker_id = workers.register(
        name="node", host="here", pid=1, queues=("cpu",), slots=1, devices=("cpu",)
    )
    workers.offer(worker_id=worker_id, offers=json.dumps([asdict(function)]))
    return Worker.objects.get(pk=worker_id)


def failing_search(name: str = "width", *, failures: int = 3) -> Experiment:
    """A search that was paused: its first trials failed with one cause."""
    text = LABEL_SMOOTHING.format(name=name, goal=GOAL, trials=12)
    experiment = search(name, source=text.replace("parallel: 2", "parallel: 1"))
    for number in range(failures):
        claim = queue.claim(queue="cpu", worker_id=None)
        assert claim is not None
        queue.keep_log_tail(
            trial_id=claim.trial_id,
            attempt=claim.attempt,
            text=f"reads /data/digits\nopens shard {number}\n",
        )
        trials.finish(
            trial_id=claim.trial_id,
            state=TrialState.FAILED,
            values=None,
            attempt=claim.attempt,
            failure_kind=FailureKind.EXCEPTION,
            failure_reason=f"FileNotFoundError: /data/digits/{number}.npz",
        )
        experiments.advance(experiment.pk)
    experiment.refresh_from_db()
    return experiment


def _run(experiment: Experiment, count: int) -> None:
    rng = np.random.default_rng(crc32(experiment.name.encode()))
    studies = list(experiment.studies.order_by("arm_index"))
    for index in range(count):
        for study in studies:
            finished_trial(study, len(studies) * index + study.arm_index, rng)


def running_search(
    name: str = "weight-decay", *, done: int = 19, trials_per_arm: int = 24, recent: bool = False
) -> Experiment:
    """A search under way: `done` finished trials an arm and one running in each."""
    experiment = search(
        name,
        trials_per_arm=trials_per_arm,
        goal="Is weight decay worth its place beside label smoothing?",
    )
    _run(experiment, done)
    for study in experiment.studies.order_by("arm_index"):
        running_trial(study, epochs=14 + 9 * study.arm_index)
    if recent:
        now = timezone.now()
        for index, trial in enumerate(
            Trial.objects.filter(study__experiment=experiment, finished_at__isnull=False)
        ):
            Trial.objects.filter(pk=trial.pk).update(
                finished_at=now - dt.timedelta(seconds=6 * (60 - index % 60))
            )
    experiment.refresh_from_db()
    return experiment


def address(experiment: Experiment, rest: str = "") -> str:
    """The path of an experiment's page, or of one below it."""
    return f"/projects/{experiment.project.slug}/experiments/{experiment.name}/{rest}"
