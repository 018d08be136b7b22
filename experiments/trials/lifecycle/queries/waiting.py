"""Reasons why an experiment's trials wait: a cap, or no node with what they need."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from experiments.design.queries.records import AnyExperiment, AnyTrial
from experiments.models import Trial, Worker
from experiments.models.experiment import ExperimentState
from experiments.models.trial import FailureKind, StudyKind, TrialState
from experiments.trials.lifecycle.queries import gpu_hours
from experiments.trials.lifecycle.queries.gpu_hours import gpus_in

HEARD_WITHIN = dt.timedelta(seconds=30)


def why_waiting(experiment: AnyExperiment, running: int) -> str:
    """One sentence for the page; "" when nothing keeps its trials from starting.

    `running`: how many run now, which proves that some node suits them.
    """
    if experiment.state != ExperimentState.RUNNING or not experiment.source:
        return ""
    reason = gpu_hours.why_held_back(experiment)
    if reason or running:
        return reason
    return why_nobody_takes(experiment.queue, experiment.gpus, "Waits for a worker")


def why_nobody_takes(queue: str, gpus: int, begins: str = "It needs a worker") -> str:
    """One sentence on the worker that is missing for work of a queue; "" when there is one."""
    nodes = [node for queues, node in _nodes() if queue in queues]
    asked = _counted(gpus, "GPU")
    if not nodes:
        need = f" with {asked}" if gpus else ""
        return f"{begins}{need} that listens to the queue {queue}; none does"
    if max(nodes) < gpus:
        return (
            f"{begins} with {asked}: those of the queue {queue} have at most "
            f"{_counted(max(nodes), 'GPU')}"
        )
    return ""


def _nodes() -> list[tuple[list[str], int]]:
    """Queues and number of GPUs of each worker that was heard of lately."""
    alive = Worker.objects.filter(
        stopped_at__isnull=True, heartbeat_at__gte=timezone.now() - HEARD_WITHIN
    )
    return [
        (queues.split(), sum(map(gpus_in, devices.split())))
        for queues, devices in alive.values_list("queues", "devices")
    ]


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def accidents(experiment_id: int) -> int:
    """Number of search trials that failed by an exception or were lost, and were not retried."""
    return Trial.objects.filter(
        study__experiment_id=experiment_id,
        study__kind=StudyKind.SEARCH,
        study__deleted_at__isnull=True,
        state=TrialState.FAILED,
        failure_kind__in=(FailureKind.EXCEPTION, FailureKind.LOST),
        retries__isnull=True,
    ).count()


def may_be_cancelled(trial: AnyTrial) -> bool:
    """Test whether a trial waits for a worker of ours, or runs on one."""
    if trial.state == TrialState.WAITING:
        return True
    return trial.state == TrialState.RUNNING and trial.heartbeat_at is not None
