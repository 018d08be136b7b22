"""Reports of workers on objectives."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.utils import timezone

from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.document.objective_source import TrainingFunctionSource
from experiments.design.queries.offers import read_source
from experiments.models import ObjectiveCheck
from experiments.models.worker import ProbeState
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.queries.dry_runs import logged_by_dry_run

FRESH = dt.timedelta(seconds=60)  # how long a report on a file's objective is taken for true
PATIENCE = dt.timedelta(seconds=45)  # for an answer: a worker looks every few seconds
ReportState = Literal["pending", "passed", "failed", "unchecked"]


@dataclass(frozen=True, slots=True)
class ObjectiveReport:
    """A worker's report on an objective.

    `unchecked`: no worker has looked, and `message` says why. `nearest`: the objective that may be
    meant; `log`: the end of a traceback; `source`: what the function's source declares; `logged`:
    the metrics of its newest dry run, `not_logged`: those of the file that it did not log.
    """

    state: ReportState
    message: str = ""
    nearest: str = ""
    log: str = ""
    worker: str = ""
    source: TrainingFunctionSource | None = None
    logged: tuple[str, ...] = ()
    not_logged: tuple[str, ...] = ()


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

    An objective whose source shows that it never logs the official metric has failed, too. One
    whose dry run did not is unchecked: its code may have been mended since.
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
    source = read_source(found["source"])
    fault = found["fault"]
    if source is not None and source.never_logs(access.official_metric):
        logs = ", ".join(source.metrics) or "nothing"
        fault = (
            fault or f"it never logs {access.official_metric}, the official metric; it logs {logs}"
        )
    logged = logged_by_dry_run(access, file.objective)
    named = dict.fromkeys((access.official_metric, *file.metrics))
    not_logged = tuple(name for name in named if name not in logged) if logged else ()
    if not fault and access.official_metric in not_logged:
        return unchecked(
            f"One trial of it was tried and did not log {access.official_metric}, the official "
            f"metric; it logged {', '.join(logged)}. Fix that, then try one trial again."
        )
    return ObjectiveReport(
        state="failed" if fault else "passed",
        message=fault,
        nearest=found["nearest"],
        log=found["log"],
        worker=check.worker.name if check.worker else "",
        source=source,
        logged=logged,
        not_logged=not_logged,
    )
