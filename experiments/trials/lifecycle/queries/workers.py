"""Worker nodes, what they run, and what waits for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Case, Count, F, Min, Q, QuerySet, Value, When
from django.utils import timezone

from experiments.analysis.time_left import Span, TimeLeft, time_left
from experiments.design.queries.time_left import spans_of
from experiments.design.trial_names import other_trial_name, trial_name
from experiments.models import Experiment, Study, Trial, Worker
from experiments.models.experiment import OUTSIDE, ExperimentState
from experiments.models.trial import StudyKind, TrialState
from experiments.team.queries.access import visible_projects
from experiments.web.pagination import EVERY_ROW, Page, PageOf, paged

SILENT_SHOWN = timedelta(days=7)
STOPPED_SHOWN = timedelta(hours=1)
ALIVE, SILENT, STOPPED = "alive", "silent", "stopped"


@dataclass(frozen=True, slots=True)
class RunningTrial:
    """A running trial. `experiment` is empty where the reader may not see its project."""

    device: str
    started_at: datetime | None
    step: int | None
    project: str = ""
    experiment: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker process. `state`: alive, silent (no heartbeat for too long) or stopped."""

    name: str
    host: str
    queues: tuple[str, ...]
    slots: int
    devices: tuple[str, ...]
    state: str
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None
    running: tuple[RunningTrial, ...]


@dataclass(frozen=True, slots=True)
class QueueRow:
    """State of one queue: what waits, and which workers serve it.

    `depth`: trials that wait or are still to be drawn, of experiments that are not paused.
    `oldest_at`: since when something has waited while nothing of its experiment ran.
    `time_left`: until all of it is done, as long as finished trials of the same experiments
    took, on the slots there are; None while no trial has finished or nobody serves the queue.
    """

    name: str
    depth: int
    running: int
    slots: int
    oldest_at: datetime | None
    time_left: TimeLeft | None


@dataclass(frozen=True, slots=True)
class _Work:
    """Open work of one experiment; `spans` of its newest complete trials."""

    queue: str
    open: int
    running: int
    waits_since: datetime | None
    spans: Sequence[Span]


@dataclass(slots=True)
class _Waiting:
    depth: int = 0
    running: int = 0
    oldest: list[datetime] = field(default_factory=list)
    left: list[TimeLeft | None] = field(default_factory=list)


def list_workers(user: User, wanted: PageOf = EVERY_ROW) -> Page[WorkerRow]:
    """Workers that live, that fell silent within a week, and that stopped within an hour, in this
    order, each kind by name. Five queries."""
    now = timezone.now()
    stale = timedelta(seconds=settings.STALE_AFTER_SECONDS)
    place = Case(
        When(stopped_at__isnull=False, then=Value(2)),
        When(heartbeat_at__lt=now - stale, then=Value(1)),
        default=Value(0),
    )
    rows = Worker.objects.filter(
        Q(stopped_at__isnull=True, heartbeat_at__gte=now - SILENT_SHOWN)
        | Q(stopped_at__gte=now - STOPPED_SHOWN)
    )
    page = paged(rows.defer("offers").order_by(place, "name"), wanted, lambda row: row)
    running = _running(user, [row.pk for row in page.rows])
    found = [_worker(row, now - stale, tuple(running.get(row.pk, ()))) for row in page.rows]
    return Page(found, page.number, page.total, page.size)


def _worker(row: Worker, stale: datetime, running: tuple[RunningTrial, ...]) -> WorkerRow:
    silent = row.heartbeat_at < stale
    return WorkerRow(
        name=row.name,
        host=row.host,
        queues=tuple(row.queues.split()),
        slots=row.slots,
        devices=tuple(row.devices.split()),
        state=STOPPED if row.stopped_at else SILENT if silent else ALIVE,
        started_at=row.started_at,
        heartbeat_at=row.heartbeat_at,
        stopped_at=row.stopped_at,
        running=running,
    )


def _running(user: User, worker_ids: Sequence[int]) -> dict[int, list[RunningTrial]]:
    """Running trials of workers, those of other people's projects without a name."""
    trials = (
        Trial.objects.filter(state=TrialState.RUNNING, worker__in=worker_ids)
        .select_related("study__experiment", "study__project")
        .only(
            *("worker_id", "device", "started_at", "latest_step", "number", "study__kind"),
            *("study__arm_index", "study__experiment__name", "study__project__slug"),
        )
        .order_by("device", "pk")
    )
    projects = {trial.study.project_id for trial in trials}
    visible = set(visible_projects(user).filter(pk__in=projects).values_list("pk", flat=True))
    arms = _arms({trial.study.experiment_id for trial in trials})
    found: dict[int, list[RunningTrial]] = defaultdict(list)
    for trial in trials:
        study = trial.study
        facts = (trial.device, trial.started_at, trial.latest_step)
        if study.project_id not in visible or study.experiment is None:
            one = RunningTrial(*facts)
        else:
            name = (
                trial_name(
                    trial.number, arm=study.arm_index, arms=arms.get(study.experiment_id, 1)
                )
                if study.kind == StudyKind.SEARCH
                else other_trial_name(study.pk, trial.number)
            )
            one = RunningTrial(*facts, study.project.slug, study.experiment.name, name)
        found[trial.worker_id or 0].append(one)
    return found


def _arms(experiment_ids: Iterable[int | None]) -> dict[int | None, int]:
    rows = Study.objects.filter(experiment__in=set(experiment_ids) - {None})
    searches = rows.filter(kind=StudyKind.SEARCH, deleted_at__isnull=True)
    return dict(searches.values_list("experiment").annotate(n=Count("pk")).order_by())


def list_queues() -> tuple[QueueRow, ...]:
    """Every queue that holds work or that a living worker serves, by name."""
    slots = slots_by_queue()
    waiting: dict[str, _Waiting] = {name: _Waiting() for name in slots}
    for work in _work():
        entry = waiting.setdefault(work.queue, _Waiting())
        entry.depth += work.open
        entry.running += work.running
        if work.open and work.waits_since is not None:
            entry.oldest.append(work.waits_since)
        runs = work.open + work.running / 2
        entry.left.append(time_left(work.spans, runs, at_once=slots.get(work.queue) or 1))
    return tuple(
        _queue(name, entry, slots.get(name, 0)) for name, entry in sorted(waiting.items())
    )


def busiest(queues: Sequence[QueueRow], most: int) -> tuple[QueueRow, ...]:
    """The queues in which most waits and runs, by name."""
    first = sorted(queues, key=lambda queue: (-queue.depth, -queue.running, queue.name))[:most]
    return tuple(sorted(first, key=lambda queue: queue.name))


def _queue(name: str, entry: _Waiting, slots: int) -> QueueRow:
    left = [estimate for estimate in entry.left if estimate is not None]
    whole = TimeLeft(
        sum(estimate.low for estimate in left), sum(estimate.high for estimate in left)
    )
    return QueueRow(
        name=name,
        depth=entry.depth,
        running=entry.running,
        slots=slots,
        oldest_at=min(entry.oldest, default=None),
        time_left=whole if slots and len(left) == len(entry.left) else None,
    )


def _work() -> list[_Work]:
    """Experiments with trials that wait, run or are to be drawn, paused ones left out."""
    moving = Trial.objects.filter(
        state__in=(TrialState.RUNNING, TrialState.WAITING), study__experiment__isnull=False
    )
    rows = list(
        Experiment.objects.filter(
            Q(state=ExperimentState.RUNNING) | Q(pk__in=moving.values("study__experiment"))
        )
        .exclude(state=ExperimentState.PAUSED)
        .exclude(sampler=OUTSIDE)
        .filter(project__archived_at__isnull=True)
        .only("queue", "state", "claimed_at", "created_at")
    )
    trials = _trials_of([row.pk for row in rows])
    spans = spans_of([row.pk for row in rows], [TrialState.COMPLETE])
    to_draw = _to_draw([row.pk for row in rows if row.state == ExperimentState.RUNNING])
    found = []
    for row in rows:
        facts = trials.get(row.pk, {})
        running = facts.get("running", 0)
        idle_since = None if running else row.claimed_at or row.created_at
        work = _Work(
            queue=row.queue,
            open=to_draw.get(row.pk, 0) + facts.get("waiting", 0),
            running=running,
            waits_since=facts.get("oldest") or idle_since,
            spans=spans.get(row.pk, ()),
        )
        if work.open or work.running:
            found.append(work)
    return found


def _trials_of(experiment_ids: list[int]) -> dict[int, dict[str, Any]]:
    rows = (
        Trial.objects.filter(study__experiment__in=experiment_ids, study__deleted_at__isnull=True)
        .order_by()
        .values("study__experiment")
        .annotate(
            waiting=Count("pk", filter=Q(state=TrialState.WAITING)),
            running=Count("pk", filter=Q(state=TrialState.RUNNING)),
            oldest=Min("queued_at", filter=Q(state=TrialState.WAITING)),
        )
    )
    return {row["study__experiment"]: dict(row) for row in rows}


def _to_draw(experiment_ids: list[int]) -> dict[int, int]:
    """Rows that samplers have still to draw, by experiment."""
    studies = Study.objects.filter(
        experiment__in=experiment_ids,
        kind=StudyKind.SEARCH,
        deleted_at__isnull=True,
        next_row__lt=F("budget"),
    )
    found: dict[int, int] = defaultdict(int)
    for experiment, budget, drawn in studies.values_list("experiment", "budget", "next_row"):
        found[experiment or 0] += (budget or 0) - drawn
    return found


def slots_by_queue() -> dict[str, int]:
    """Slots of living workers, by queue."""
    found: dict[str, int] = defaultdict(int)
    for queues, slots in _living().values_list("queues", "slots"):
        for name in queues.split():
            found[name] += slots
    return dict(found)


def lives_on(host: str) -> bool:
    """Test whether a worker of this host has said lately that it is there."""
    return bool(_living().filter(host=host[:200]).exists())


def anyone_lives() -> bool:
    """Test whether any worker process has been heard of lately."""
    return bool(_living().exists())


def workers_by_state() -> dict[str, int]:
    """Number of workers that live, and of those that fell silent unannounced within a week."""
    since = timezone.now() - SILENT_SHOWN
    here = Worker.objects.filter(stopped_at__isnull=True, heartbeat_at__gte=since).count()
    alive = _living().count()
    return {ALIVE: alive, SILENT: here - alive}


def trials_by_state() -> dict[str, int]:
    """Number of trials by the name of their state; every state is named."""
    counts = dict(Trial.objects.order_by().values_list("state").annotate(n=Count("pk")))
    return {state.label.lower(): counts.get(state.value, 0) for state in TrialState}


def _living() -> QuerySet[Worker]:
    since = timezone.now() - timedelta(seconds=settings.STALE_AFTER_SECONDS)
    return Worker.objects.filter(stopped_at__isnull=True, heartbeat_at__gte=since)
