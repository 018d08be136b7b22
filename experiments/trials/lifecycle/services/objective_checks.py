"""Checks of objectives before experiments start: asked by an editor, answered by a worker."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from experiments import dispatch
from experiments.design.document import commands
from experiments.design.document.experiment_file import ExperimentFile
from experiments.models import ObjectiveCheck
from experiments.models.project import Role
from experiments.models.worker import ProbeState
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.queries.objective_checks import (
    ObjectiveReport,
    latest,
    report_of,
    unchecked,
)
from experiments.trials.lifecycle.queries.waiting import why_nobody_takes

KEPT = dt.timedelta(days=1)
POLL_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Question:
    """A claimed check of an objective."""

    id: int
    objective: str
    gpus: int


def check(*, access: Access, file: ExperimentFile, wait: float = 0.0) -> ObjectiveReport:
    """A worker's report on a file's objective, asked for where there is no recent one.

    Args:
        wait: seconds to wait for the answer; without it the report may be pending, and is read by
            calling again.

    Raises:
        NotFound, NotAllowed: for someone who is no editor: an import runs the team's code.
    """
    access.require(Role.EDITOR)
    if commands.name_of(file.objective) is not None:
        return unchecked("A command line is not imported: its first trial shows whether it runs.")
    nobody = why_nobody_takes(file.queue, file.gpus)
    if nobody:
        return unchecked(f"{nobody}.")
    until = time.monotonic() + wait
    if latest(access, file) is None:
        _ask(access, file)
    while True:
        report = report_of(access, file)
        if report.state != "pending" or time.monotonic() >= until:
            return report
        time.sleep(POLL_SECONDS)


def _ask(access: Access, file: ExperimentFile) -> None:
    """Queue a question; the asker's earlier ones that no worker has taken are withdrawn."""
    imports = _imports()
    imports.filter(asked_by=access.user, state=ProbeState.WAITING).delete()
    imports.filter(created_at__lt=timezone.now() - KEPT).delete()
    ObjectiveCheck.objects.create(
        project_id=access.project_id,
        asked_by=access.user,
        objective=file.objective,
        queue=file.queue,
        gpus=file.gpus,
    )
    dispatch.check_objectives(file.queue)


def any_waiting(queues: Sequence[str]) -> bool:
    """Look for a question about an import that waits in one of the queues."""
    return _imports().filter(state=ProbeState.WAITING, queue__in=queues).exists()


def claim(*, queues: Sequence[str], worker_id: int, most_gpus: int) -> Question | None:
    """Take the oldest question of these queues that a node with so many GPUs can answer."""
    waiting = _imports().filter(state=ProbeState.WAITING, queue__in=queues, gpus__lte=most_gpus)
    for row in waiting.order_by("pk"):
        won = ObjectiveCheck.objects.filter(pk=row.pk, state=ProbeState.WAITING).update(
            state=ProbeState.RUNNING, worker_id=worker_id, heartbeat_at=timezone.now()
        )
        if won:
            return Question(row.pk, row.objective, row.gpus)
    return None


def answer(*, check_id: int, found: Mapping[str, Any]) -> None:
    """Keep what a worker found."""
    text = json.dumps(found).replace("\\u0000", "\\ufffd")
    ObjectiveCheck.objects.filter(pk=check_id, state=ProbeState.RUNNING).update(
        state=ProbeState.DONE, answer=text, finished_at=timezone.now()
    )


def _imports() -> QuerySet[ObjectiveCheck]:
    return ObjectiveCheck.objects.filter(document="")
