"""Batch size measurements: requested by a person, claimed and reported by a worker."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from experiments import dispatch
from experiments.design.batch_size_plan import ProbePlan, plan
from experiments.design.queries.records import AnyExperiment
from experiments.errors import Conflict, NotFound
from experiments.models import BatchSizeProbe, Project
from experiments.models.project import Role
from experiments.models.worker import ProbeState
from experiments.team.queries.access import Access
from experiments.trials.batch_size_results import answer, measured
from experiments.trials.lifecycle.queries.waiting import why_nobody_takes

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Order:
    """A measurement that a worker has claimed."""

    id: int
    objective: str
    parameters: Mapping[str, Any]
    plan: ProbePlan


def ask(
    *,
    access: Access,
    experiment: AnyExperiment,
    parameter: str,
    first: int,
    largest: int,
    steps: int,
) -> int:
    """Queue a measurement of an experiment's training function; its id.

    Raises:
        NotFound, NotAllowed: for someone who is no editor.
        VerdictError: with one problem for each field that is wrong, or that the operator forbids.
        Conflict: when one is under way for this experiment, or no worker would take it.
    """
    access.require(Role.EDITOR, experiment)
    wanted = ProbePlan(parameter=parameter, first=first, largest=largest, steps=steps)
    parameters = plan(experiment.document, wanted)
    nobody = why_nobody_takes(experiment.queue, experiment.gpus)
    if nobody:
        raise Conflict(f"{nobody}: start one, then try again.")
    try:
        with transaction.atomic():
            made = BatchSizeProbe.objects.create(
                project_id=experiment.project_id,
                experiment_id=experiment.pk,
                state=ProbeState.WAITING,
                asked_by=access.user,
                queue=experiment.queue,
                gpus=experiment.gpus,
                options=json.dumps(wanted.as_data()),
                objective=experiment.objective,
                parameters=json.dumps(parameters, sort_keys=True),
            )
            dispatch.measure(experiment.queue)
    except IntegrityError:
        raise Conflict(
            f"The batch sizes of {experiment.name} are being measured already."
        ) from None
    return made.pk


def cancel(*, access: Access, probe_id: int) -> None:
    """End a measurement; one that runs ends within seconds, what it has measured stays.

    Raises:
        NotFound, NotAllowed: when there is none, or for someone who is no editor.
        Conflict: when it has ended.
    """
    access.require(Role.EDITOR)
    probe = BatchSizeProbe.objects.filter(pk=probe_id, project_id=access.project_id)
    if not probe.exists():
        raise NotFound("There is no such measurement.")
    reason = f"Cancelled by {access.username}."
    waiting = probe.filter(state=ProbeState.WAITING)
    if waiting.update(state=ProbeState.CANCELLED, ended=reason, finished_at=timezone.now()):
        return
    if not probe.filter(state=ProbeState.RUNNING).update(is_to_end=True, ended=reason):
        raise Conflict("The measurement has ended already.")


def claim(*, queue: str, worker_id: int, allocate: Callable[[int], str | None]) -> Order | None:
    """Take the measurement that has waited longest and for which there is room.

    `allocate` reserves so many GPUs and returns their name; None when too few are free.
    """
    for probe in BatchSizeProbe.objects.filter(state=ProbeState.WAITING, queue=queue).order_by(
        "pk"
    ):
        device = allocate(probe.gpus)
        if device is None:
            continue
        won = BatchSizeProbe.objects.filter(pk=probe.pk, state=ProbeState.WAITING).update(
            state=ProbeState.RUNNING,
            worker_id=worker_id,
            device=device,
            heartbeat_at=timezone.now(),
        )
        if won:
            return Order(
                id=probe.pk,
                objective=probe.objective,
                parameters=json.loads(probe.parameters),
                plan=ProbePlan(**json.loads(probe.options)),
            )
    return None


def report(*, probe_id: int, worker_id: int, rows: Rows | None = None, host: str = "") -> bool:
    """Heartbeat of a measurement with its `rows` so far; False when it is to end."""
    changes: dict[str, Any] = {"heartbeat_at": timezone.now()}
    if rows is not None:
        changes |= {"rows": _stored(rows), "host": host}
    probe = _claimed_by(probe_id, worker_id)
    probe.update(**changes)
    return probe.filter(is_to_end=False).exists()


def finish(*, probe_id: int, worker_id: int, rows: Rows) -> None:
    """Store the result; no effect when the measurement has ended meanwhile."""
    state = ProbeState.DONE if measured(rows) else ProbeState.FAILED
    probe = _claimed_by(probe_id, worker_id)
    cancelled = probe.filter(is_to_end=True)
    now = timezone.now()
    if not cancelled.update(state=ProbeState.CANCELLED, rows=_stored(rows), finished_at=now):
        probe.update(state=state, rows=_stored(rows), ended=answer(rows), finished_at=now)


def fail(*, probe_id: int, worker_id: int, reason: str) -> None:
    """Fail a measurement for a reason."""
    _claimed_by(probe_id, worker_id).update(
        state=ProbeState.FAILED, ended=reason, finished_at=timezone.now()
    )


def hand_back(*, probe_id: int, worker_id: int) -> None:
    """Requeue a measurement at shutdown; it restarts, as sizes of two devices do not compare."""
    probe = _claimed_by(probe_id, worker_id)
    queues = list(probe.values_list("queue", flat=True))
    if probe.update(state=ProbeState.WAITING, worker=None, rows="[]", device=""):
        dispatch.measure(queues[0])


def fail_silent(*, stale_after: dt.timedelta) -> None:
    """Fail measurements whose worker has no heartbeat for so long."""
    reason = f"Its worker sent no heartbeat for {stale_after.total_seconds():.0f} s."
    BatchSizeProbe.objects.filter(
        state=ProbeState.RUNNING, heartbeat_at__lt=timezone.now() - stale_after
    ).update(state=ProbeState.FAILED, ended=reason, finished_at=timezone.now())


def is_waiting(queue: str, *, most_gpus: int) -> bool:
    """Test whether a node with so many GPUs could measure something."""
    return BatchSizeProbe.objects.filter(
        state=ProbeState.WAITING, queue=queue, gpus__lte=most_gpus
    ).exists()


def record(
    *,
    project: str,
    objective: str,
    parameters: Mapping[str, Any],
    device: str,
    host: str,
    rows: Rows,
) -> str:
    """Store a measurement of the command line; returns its answer in words.

    Raises:
        NotFound: when there is no such project.
    """
    row = Project.objects.filter(slug=project).first()
    if row is None:
        raise NotFound(f"There is no project {project}.")
    summary = answer(rows)
    BatchSizeProbe.objects.create(
        project=row,
        objective=objective,
        parameters=json.dumps(dict(parameters), sort_keys=True),
        device=device,
        host=host,
        rows=_stored(rows),
        ended=summary,
        finished_at=timezone.now(),
    )
    return summary


def _claimed_by(probe_id: int, worker_id: int) -> QuerySet[BatchSizeProbe]:
    """The measurement if this worker still holds it."""
    return BatchSizeProbe.objects.filter(
        pk=probe_id, worker_id=worker_id, state=ProbeState.RUNNING
    )


def _stored(rows: Rows) -> str:
    return json.dumps([dict(row) for row in rows])
