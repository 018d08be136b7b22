"""Progress of experiments, for progress bars and lists at the command line."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from django.db.models import Count, Q
from django.utils import timezone

from experiments.analysis.time_left import TimeLeft
from experiments.design.queries.finding_counts import FindingCounts, count_findings
from experiments.design.queries.records import OF_EXPERIMENT, ExperimentRecord, record_of
from experiments.design.queries.time_left import searches_time_left
from experiments.errors import NotFound
from experiments.models import Experiment, Worker
from experiments.models.trial import StudyKind, TrialState
from experiments.trials.lifecycle.queries.failures import search_failure


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of an experiment. `best_value` is in the official metric's unit."""

    experiment_id: int
    project: str
    name: str
    goal: str
    state: str
    stop_reason: str
    official_metric: str
    done: int
    failed: int
    running: int
    budget: int
    best_value: float | None
    best_number: int | None
    findings: FindingCounts
    started_at: dt.datetime
    ended_at: dt.datetime | None
    has_failed: bool = False
    failure: str = ""  # of its newest trial, where none completed
    time_left: TimeLeft | None = None  # of one that runs


def find(reference: str) -> ExperimentRecord:
    """The experiment called PROJECT/NAME.

    Raises:
        NotFound: when there is none.
    """
    project, _, name = reference.partition("/")
    rows = Experiment.objects.select_related(*OF_EXPERIMENT)
    found = rows.filter(project__slug=project, name=name).first()
    if found is None:
        raise NotFound(f"There is no experiment {reference}; expected PROJECT/NAME.")
    return record_of(found)


def progress(experiment_id: int) -> Progress:
    """One experiment's progress; with the failure of one that has failed."""
    now = _read(Q(pk=experiment_id))[0]
    if not now.has_failed:
        return now
    failure = search_failure(Experiment.objects.get(pk=experiment_id))
    return replace(now, failure=failure.message if failure else "")


def all_progress(project: str = "") -> list[Progress]:
    """Progress of all experiments (of one project), newest first, in three queries."""
    return _read(Q(project__slug=project) if project else Q())


def _read(condition: Q) -> list[Progress]:
    running = Count(
        "studies__trials",
        filter=Q(studies__trials__state=TrialState.RUNNING, studies__kind=StudyKind.SEARCH),
        distinct=True,
    )
    rows = list(
        Experiment.objects.filter(condition)
        .select_related("project", "best_trial")
        .annotate(running=running)
        .order_by("-created_at")
    )
    findings = count_findings(row.pk for row in rows)
    left = searches_time_left((row, row.running) for row in rows)
    return [
        Progress(
            experiment_id=row.pk,
            project=row.project.slug,
            name=row.name,
            goal=row.goal,
            state=row.state,
            stop_reason=row.stop_reason,
            official_metric=row.official_metric,
            done=row.trial_count,
            failed=row.failed_count,
            running=row.running,
            budget=row.budget,
            best_value=row.best_value,
            best_number=row.best_trial.number if row.best_trial else None,
            findings=findings.get(row.pk, FindingCounts()),
            started_at=row.created_at,
            ended_at=row.finished_at,
            has_failed=row.has_failed,
            time_left=left.get(row.pk),
        )
        for row in rows
    ]


def workers_alive(queue: str, within: dt.timedelta = dt.timedelta(seconds=30)) -> int:
    """Number of workers that listen to a queue and were heard of lately."""
    alive = Worker.objects.filter(
        stopped_at__isnull=True, heartbeat_at__gte=timezone.now() - within
    )
    return sum(queue in queues.split() for queues in alive.values_list("queues", flat=True))
