"""Dry runs: one trial of a file before its experiment starts, asked for by an editor.

Nothing of it belongs to a search: its first configuration on the smallest budget, its curve kept
with the check alone.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from experiments import dispatch
from experiments.design.document import commands, experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.review.design_review import review
from experiments.errors import Conflict, InvalidExperiment, NotFound, Problem
from experiments.models import ObjectiveCheck
from experiments.models.project import Role
from experiments.models.worker import ProbeState
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.queries.waiting import why_nobody_takes

Found = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DryRunOrder:
    """A dry run that a worker has claimed."""

    id: int
    file: ExperimentFile
    official_metric: str
    direction: str


def start(*, access: Access, text: str) -> int:
    """Queue a dry run of a file; its id. The person's earlier one ends.

    Raises:
        NotFound, NotAllowed: for someone who is no editor.
        InvalidExperiment: when the file cannot run.
        Conflict: when no worker would take it, or a command line is to run.
    """
    access.require(Role.EDITOR)
    seen = review(text, access)
    if seen.error or seen.file is None:
        raise InvalidExperiment(seen.error, seen.problems)
    file = seen.file
    if commands.name_of(file.objective) is not None:
        wrong = Problem("command", "a command line has no dry run; start with one trial")
        raise Conflict("One trial cannot be tried.", [wrong])
    nobody = why_nobody_takes(file.queue, file.gpus)
    if nobody:
        raise Conflict("One trial cannot be tried now.", [Problem("queue", nobody)])
    document = json.dumps({"text": text, "file": experiment_file.as_document(file)})
    with transaction.atomic():
        for earlier in _dry_runs().filter(asked_by=access.user, finished_at=None):
            _end(earlier)
        made = ObjectiveCheck.objects.create(
            project_id=access.project_id,
            asked_by=access.user,
            objective=file.objective,
            queue=file.queue,
            gpus=file.gpus,
            document=document,
        )
        dispatch.dry_run(file.queue)
    return made.pk


def cancel(*, access: Access, dry_run: int) -> None:
    """End a dry run; one that runs ends within seconds.

    Raises:
        NotFound, NotAllowed: when there is none, or for someone who is no editor.
        Conflict: when it has ended.
    """
    access.require(Role.EDITOR)
    row = _dry_runs().filter(pk=dry_run, project_id=access.project_id).first()
    if row is None:
        raise NotFound("There is no such dry run.")
    if not _end(row):
        raise Conflict("The dry run has ended already.")


def _end(row: ObjectiveCheck) -> bool:
    same = _dry_runs().filter(pk=row.pk)
    waiting = same.filter(state=ProbeState.WAITING)
    if waiting.update(state=ProbeState.CANCELLED, finished_at=timezone.now()):
        return True
    return bool(same.filter(state=ProbeState.RUNNING).update(is_to_end=True))


def is_waiting(queue: str, *, most_gpus: int) -> bool:
    """Look for a dry run that a node with so many GPUs could do."""
    waiting = _dry_runs().filter(state=ProbeState.WAITING)
    return waiting.filter(queue=queue, gpus__lte=most_gpus).exists()


def claim(
    *, queue: str, worker_id: int, allocate: Callable[[int], str | None]
) -> DryRunOrder | None:
    """Take the dry run that has waited longest and for which there is room.

    `allocate` reserves so many GPUs and returns their name; None when too few are free.
    """
    waiting = _dry_runs().filter(state=ProbeState.WAITING, queue=queue)
    for row in waiting.select_related("project").order_by("pk"):
        if allocate(row.gpus) is None:
            continue
        won = waiting.filter(pk=row.pk).update(
            state=ProbeState.RUNNING, worker_id=worker_id, heartbeat_at=timezone.now()
        )
        if won:
            file = experiment_file.stored(json.loads(row.document)["file"])
            return DryRunOrder(row.pk, file, row.project.official_metric, row.project.direction)
    return None


def report(*, dry_run: int, worker_id: int, found: Found) -> bool:
    """Store the log so far; False when the dry run is to end."""
    running = _claimed_by(dry_run, worker_id)
    running.update(heartbeat_at=timezone.now(), answer=_text(found))
    return running.filter(is_to_end=False).exists()


def finish(*, dry_run: int, worker_id: int, found: Found, failed: bool) -> None:
    """Store the result; no effect when another worker holds the dry run."""
    running, now = _claimed_by(dry_run, worker_id), timezone.now()
    ended = {"answer": _text(found), "finished_at": now}
    if not running.filter(is_to_end=True).update(state=ProbeState.CANCELLED, **ended):
        running.update(state=ProbeState.FAILED if failed else ProbeState.DONE, **ended)


def hand_back(*, dry_run: int, worker_id: int) -> None:
    """Requeue a dry run at the worker's shutdown."""
    running = _claimed_by(dry_run, worker_id)
    queues = list(running.values_list("queue", flat=True))
    if running.update(state=ProbeState.WAITING, worker=None, answer="{}"):
        dispatch.dry_run(queues[0])


def fail_silent(*, stale_after: dt.timedelta) -> None:
    """Fail dry runs whose worker has no heartbeat for so long."""
    reason = f"its worker sent no heartbeat for {stale_after.total_seconds():.0f} s"
    _dry_runs().filter(
        state=ProbeState.RUNNING, heartbeat_at__lt=timezone.now() - stale_after
    ).update(state=ProbeState.FAILED, answer=_text({"reason": reason}), finished_at=timezone.now())


def _dry_runs() -> QuerySet[ObjectiveCheck]:
    return ObjectiveCheck.objects.exclude(document="")


def _claimed_by(dry_run: int, worker_id: int) -> QuerySet[ObjectiveCheck]:
    """The dry run if this worker still holds it."""
    return _dry_runs().filter(pk=dry_run, worker_id=worker_id, state=ProbeState.RUNNING)


def _text(found: Found) -> str:
    return json.dumps(found).replace("\\u0000", "\\ufffd")
