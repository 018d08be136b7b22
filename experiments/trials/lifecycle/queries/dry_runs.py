"""Dry runs as their page shows them, with what the whole search will take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.analysis.time_left import TimeLeft, time_left
from experiments.design.document import experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.models import ObjectiveCheck
from experiments.models.worker import ProbeState
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.queries.workers import slots_by_queue

OPEN = ("waiting", "running")


@dataclass(frozen=True, slots=True)
class DryRunSeries:
    """One metric that was logged: its thinned points, and whether it is the official one."""

    name: str
    steps: Sequence[float]
    values: Sequence[float]
    official: bool

    @property
    def last(self) -> float:
        return self.values[-1]


@dataclass(frozen=True, slots=True)
class DryRun:
    """One trial of a file. `state`: waiting, running, done, failed or cancelled.

    `text` is the file; `budget` the fidelity it ran on, None for the whole one; `names` are all
    metrics that were logged, test scores included, whose values stay sealed. `whole_search`: what
    the search will take, None until the trial has ended.
    """

    id: int
    state: str
    text: str
    experiment: str
    asked_by: str
    worker: str
    parameters: Mapping[str, Any]
    budget: float | None
    names: tuple[str, ...]
    series: tuple[DryRunSeries, ...]
    seconds: float | None
    peak_memory_mb: float | None
    score: float | None
    reason: str
    log: str
    trials: int
    at_once: int
    whole_search: TimeLeft | None
    is_to_end: bool

    @property
    def is_open(self) -> bool:
        """Test whether a worker is at it, or is still to take it."""
        return self.state in OPEN


def find_dry_run(access: Access, number: int) -> DryRun | None:
    """A dry run of the project."""
    row = (
        ObjectiveCheck.objects.exclude(document="")
        .select_related("asked_by", "worker")
        .filter(pk=number, project_id=access.project_id)
        .first()
    )
    if row is None:
        return None
    document = json.loads(row.document)
    file = experiment_file.stored(document["file"])
    found: Mapping[str, Any] = json.loads(row.answer)
    at_once = max(1, min(file.parallel, slots_by_queue().get(file.queue, 1)))
    seconds = found.get("seconds")
    return DryRun(
        id=row.pk,
        state=row.state,
        text=document["text"],
        experiment=file.name,
        asked_by=row.asked_by.get_username(),
        worker=row.worker.name if row.worker else "",
        parameters=found.get("parameters", {}),
        budget=found.get("budget"),
        names=tuple(found.get("names", ())),
        series=tuple(
            DryRunSeries(name, steps, values, name == access.official_metric)
            for name, (steps, values) in found.get("series", {}).items()
        ),
        seconds=seconds,
        peak_memory_mb=found.get("peak_memory_mb"),
        score=found.get("score"),
        reason=found.get("reason", ""),
        log=found.get("log", ""),
        trials=file.budget,
        at_once=at_once,
        whole_search=_whole(file, seconds, at_once) if row.state == "done" else None,
        is_to_end=row.is_to_end,
    )


def logged_by_dry_run(access: Access, objective: str) -> tuple[str, ...]:
    """Metrics that the project's newest dry run of an objective logged.

    Empty where none has ended, or where it broke off, so that more might have come.
    """
    ended = ObjectiveCheck.objects.exclude(document="").filter(
        project_id=access.project_id,
        objective=objective,
        state__in=(ProbeState.DONE, ProbeState.FAILED),
    )
    row = ended.order_by("-pk").first()
    found: Mapping[str, Any] = json.loads(row.answer) if row else {}
    is_whole = row is not None and row.state == ProbeState.DONE
    if is_whole or found.get("reason", "").startswith(
        f"{access.official_metric} was never logged"
    ):
        return tuple(found.get("names", ()))
    return ()


def _whole(file: ExperimentFile, seconds: float | None, at_once: int) -> TimeLeft | None:
    """Time of all trials on their whole budget, which is taken to cost in proportion."""
    if seconds is None:
        return None
    longer = file.fidelity.high / file.fidelity.low if file.fidelity else 1.0
    return time_left([(0.0, seconds * longer)], file.budget, at_once=at_once)
