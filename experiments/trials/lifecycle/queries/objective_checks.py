"""Reports of workers on objectives, and the training functions that they offer."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.conf import settings
from django.utils import timezone
from pydantic import TypeAdapter, ValidationError

from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.document.objective_source import TrainingFunctionSource
from experiments.design.document.objectives import is_allowed
from experiments.models import ObjectiveCheck, Worker
from experiments.models.worker import ProbeState
from experiments.team.queries.access import Access

FRESH = dt.timedelta(seconds=60)  # how long a report on a file's objective is taken for true
PATIENCE = dt.timedelta(seconds=45)  # for an answer: a worker looks every few seconds
ReportState = Literal["pending", "passed", "failed", "unchecked"]
_source = TypeAdapter(TrainingFunctionSource)


@dataclass(frozen=True, slots=True)
class ObjectiveReport:
    """A worker's report on an objective.

    `unchecked`: no worker has looked, and `message` says why. `nearest`: the objective that may be
    meant; `log`: the end of a traceback; `source`: what the function's source declares.
    """

    state: ReportState
    message: str = ""
    nearest: str = ""
    log: str = ""
    worker: str = ""
    source: TrainingFunctionSource | None = None


def unchecked(why: str) -> ObjectiveReport:
    """A report of nobody."""
    return ObjectiveReport("unchecked", why)


def latest(access: Access, file: ExperimentFile) -> ObjectiveCheck | None:
    """The last check of a file's objective that is recent enough to count."""
    return (
        ObjectiveCheck.objects.filter(
            project_id=access.project_id,
            objective=file.objective,
            queue=file.queue,
            gpus=file.gpus,
            document="",
            created_at__gte=timezone.now() - FRESH,
        )
        .select_related("worker")
        .order_by("-pk")
        .first()
    )


def report_of(access: Access, file: ExperimentFile) -> ObjectiveReport:
    """The report on a file's objective as far as it is there.

    An objective whose source shows that it never logs the official metric has failed, too.
    """
    check = latest(access, file)
    if check is None:
        return unchecked("No worker has imported it.")
    if check.state != ProbeState.DONE:
        if timezone.now() - check.created_at > PATIENCE:
            seconds = PATIENCE.total_seconds()
            return unchecked(f"No worker has answered within {seconds:.0f} s.")
        return ObjectiveReport("pending", "A worker imports the objective.")
    found: Mapping[str, Any] = json.loads(check.answer)
    source = _read(found["source"])
    fault = found["fault"]
    if source is not None and source.never_logs(access.official_metric):
        logs = ", ".join(source.metrics) or "nothing"
        fault = (
            fault or f"it never logs {access.official_metric}, the official metric; it logs {logs}"
        )
    return ObjectiveReport(
        state="failed" if fault else "passed",
        message=fault,
        nearest=found["nearest"],
        log=found["log"],
        worker=check.worker.name if check.worker else "",
        source=source,
    )


def offered() -> tuple[TrainingFunctionSource, ...]:
    """Training functions that living workers can import and the operator allows, by name."""
    since = timezone.now() - dt.timedelta(seconds=settings.STALE_AFTER_SECONDS)
    alive = Worker.objects.filter(stopped_at__isnull=True, heartbeat_at__gte=since)
    found: dict[str, TrainingFunctionSource] = {}
    for text in alive.exclude(offers="[]").order_by("pk").values_list("offers", flat=True):
        for entry in json.loads(text):
            read = _read(entry)
            if read is not None and is_allowed(read.objective, settings.OBJECTIVES):
                found[read.objective] = read
    return tuple(found[name] for name in sorted(found))


def _read(entry: object) -> TrainingFunctionSource | None:
    try:
        return _source.validate_python(entry) if entry is not None else None
    except ValidationError:  # of a worker of another version
        return None
