"""Periodic checks: verdicts that await a person, failed replicates, stalled experiments.

Called by worker nodes at every heartbeat. Without subscribers it costs two queries.
"""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from experiments.design.queries.records import AnyExperiment
from experiments.models import (
    Event,
    Experiment,
    MessageChoice,
    Replication,
    SeriesBatch,
    Trial,
    Webhook,
    Worker,
)
from experiments.models.decision import Choice
from experiments.models.experiment import ExperimentState
from experiments.models.replication import Purpose
from experiments.models.trial import FailureKind, TrialState
from experiments.models.webhook import EventKind
from experiments.team.page_addresses import page
from experiments.team.services.messages import announce


def check() -> None:
    """Announce what has begun to wait for a person since the last check."""
    listening = _subscribed_projects()
    if not listening:
        return
    for replication in _undecided(listening):
        with transaction.atomic():
            _announce_look(replication)
    deadline = timezone.now() - dt.timedelta(minutes=settings.STALLED_AFTER_MINUTES)
    running = Experiment.objects.filter(
        state=ExperimentState.RUNNING,
        project__in=listening,
        active_at__lt=deadline,
        archived_at__isnull=True,
    )
    for experiment in running.select_related("project"):
        with transaction.atomic():
            _announce_stall(experiment, deadline)


def _subscribed_projects() -> list[int]:
    """Projects with a subscriber to these events."""
    wanted = {EventKind.WANTED, EventKind.STALLED, EventKind.FAILED}
    found = set()
    for model in (Webhook, MessageChoice):
        listed = model.objects.filter(project__archived_at__isnull=True)
        for project, events in listed.values_list("project_id", "events"):
            if wanted.intersection(events):
                found.add(project)
    return sorted(found)


def _undecided(projects: list[int]) -> list[Replication]:
    """Replications for a verdict that nobody has ended, of experiments that are not archived."""
    rows = Replication.objects.filter(
        purpose=Purpose.VERDICT,
        picked="",
        pairs_queued__gt=0,
        experiment__project__in=projects,
        experiment__archived_at__isnull=True,
    )
    ended = Q(decisions__isnull=False) & ~Q(decisions__choice=Choice.CONTINUE)
    notified = set(
        Event.objects.filter(project__in=projects, kind=EventKind.WANTED).values_list(
            "key", flat=True
        )
    )
    found = rows.exclude(pk__in=rows.filter(ended).values("pk")).select_related(
        "experiment__project"
    )
    return [row for row in found if _key(row) not in notified]


def _key(replication: Replication) -> str:
    return f"wanted:{replication.pk}:{replication.pairs_queued}"


def _announce_look(replication: Replication) -> None:
    rows = Trial.objects.replicates_of(replication)
    open_states = (TrialState.WAITING, TrialState.RUNNING)
    if rows.filter(state__in=open_states).exists() or not rows.exists():
        return
    experiment = replication.experiment
    accidents = (
        rows.filter(state=TrialState.FAILED, retries__isnull=True)
        .exclude(failure_kind=FailureKind.INFEASIBLE)
        .count()
    )
    place = (experiment.project.slug, experiment.name)
    if accidents:
        many = "1 replicate" if accidents == 1 else f"{accidents} replicates"
        newest = rows.aggregate(newest=Max("pk"))["newest"]
        announce(
            project=experiment.project,
            kind=EventKind.FAILED,
            key=f"broken:{replication.pk}:{newest}",
            text=f"{experiment.name}: {many} failed by accident; repeat with the same seeds.",
            path=page("seeds", *place),
            experiment=experiment,
        )
        return
    of_several = f" of one of its {replication.candidates} candidates"
    announce(
        project=experiment.project,
        kind=EventKind.WANTED,
        key=_key(replication),
        text=(
            f"{experiment.name}: the replicates{of_several if replication.candidates > 1 else ''} "
            f"are complete at {replication.pairs_queued} pairs; somebody has to decide."
        ),
        path=page("decide", *place),
        experiment=experiment,
    )


def _announce_stall(experiment: Experiment, deadline: dt.datetime) -> None:
    trials = Trial.objects.filter(study__experiment=experiment.pk)
    running = trials.filter(state=TrialState.RUNNING)
    last = _last_sign(experiment, running)
    if last >= deadline:
        return
    why = _why(experiment, running.count())
    if not why:
        return
    minutes = int((timezone.now() - last).total_seconds() // 60)
    announce(
        project=experiment.project,
        kind=EventKind.STALLED,
        key=f"stalled:{experiment.pk}:{last.timestamp():.6f}",
        text=f"{experiment.name} made no progress for {minutes} minutes: {why}.",
        path=page("experiment", experiment.project.slug, experiment.name),
        experiment=experiment,
    )


def _last_sign(experiment: AnyExperiment, running: QuerySet[Trial]) -> dt.datetime:
    """Time at which something last moved. A heartbeat counts for runs from outside only: of a
    worker's trial it says that the process lives, not that it trains."""
    outside = Max("heartbeat_at", filter=Q(attempt=0))
    signs = running.aggregate(started=Max("started_at"), outside=outside)
    logged = SeriesBatch.objects.filter(trial__in=running).aggregate(at=Max("written_at"))["at"]
    signs_seen = (experiment.active_at, signs["started"], signs["outside"], logged)
    return max(sign for sign in signs_seen if sign is not None)


def _why(experiment: AnyExperiment, running: int) -> str:
    """Reason of a stall; "" when the experiment only waits for free slots."""
    if running:
        many = "its running trial has" if running == 1 else f"none of its {running} trials has"
        return f"{many} {'not ' if running == 1 else ''}logged anything"
    heard = timezone.now() - dt.timedelta(seconds=settings.STALE_AFTER_SECONDS)
    alive = Worker.objects.filter(stopped_at__isnull=True, heartbeat_at__gte=heard)
    if not any(
        experiment.queue in queues.split() for queues in alive.values_list("queues", flat=True)
    ):
        return f"no live worker serves the queue {experiment.queue}"
    busy = Trial.objects.filter(
        state=TrialState.RUNNING, study__experiment__queue=experiment.queue, attempt__gte=1
    )
    return "" if busy.exists() else "workers are live, but none claims its trials"
