"""Batch-size measurements of a project, finished and running."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from experiments.design.document.commands import PREFIX
from experiments.models import BatchSizeProbe, Experiment

MOST = 50
OPEN = ("waiting", "running")


@dataclass(frozen=True, slots=True)
class SizeRow:
    """One size; `milliseconds` of a step, memory in MiB; `ended` says why it was not measured."""

    batch: int
    examples_per_second: float | None
    milliseconds: float | None
    peak_memory_mb: float | None
    ended: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement. `state`: waiting, running, done, failed or cancelled; `answer` is what it
    says, or why it has none. `measuring` is the size under way; `experiment` and `asked_by` are
    empty for one of the command line.
    """

    id: int
    state: str
    experiment: str
    asked_by: str
    queue: str
    objective: str
    parameter: str
    parameters: Mapping[str, Any]
    device: str
    host: str
    at: datetime
    finished_at: datetime | None
    answer: str
    rows: tuple[SizeRow, ...]
    measuring: int | None
    is_to_end: bool

    @property
    def is_open(self) -> bool:
        """Test whether a worker is at it, or is still to take it."""
        return self.state in OPEN


def measurements(project_id: int, number: int | None = None) -> list[Measurement]:
    """The newest first; `number` alone, if given."""
    probes = BatchSizeProbe.objects.filter(project_id=project_id)
    if number is not None:
        probes = probes.filter(pk=number)
    return [
        _measurement(probe) for probe in probes.select_related("experiment", "asked_by")[:MOST]
    ]


def measurable(project_id: int) -> list[str]:
    """Names of experiments whose function can be timed, the latest active first."""
    rows = Experiment.objects.filter(project_id=project_id, archived_at__isnull=True)
    rows = rows.exclude(source="").exclude(objective__startswith=PREFIX)
    return list(rows.order_by("-active_at").values_list("name", flat=True)[:MOST])


def _measurement(probe: BatchSizeProbe) -> Measurement:
    rows = json.loads(probe.rows)
    options = json.loads(probe.options)
    measuring = 2 * rows[-1]["batch"] if rows else options.get("first")
    return Measurement(
        id=probe.pk,
        state=probe.state,
        experiment=probe.experiment.name if probe.experiment else "",
        asked_by=probe.asked_by.get_username() if probe.asked_by else "",
        queue=probe.queue,
        objective=probe.objective,
        parameter=options.get("parameter", ""),
        parameters=json.loads(probe.parameters),
        device=probe.device,
        host=probe.host,
        at=probe.created_at,
        finished_at=probe.finished_at,
        answer=probe.ended,
        rows=tuple(_row(row) for row in rows),
        measuring=measuring if probe.state == "running" else None,
        is_to_end=probe.is_to_end,
    )


def _row(row: Mapping[str, Any]) -> SizeRow:
    seconds = row["step_seconds"]
    return SizeRow(
        batch=row["batch"],
        examples_per_second=row["examples_per_second"],
        milliseconds=None if seconds is None else 1000 * seconds,
        peak_memory_mb=row["peak_memory_mb"],
        ended=f"{row['ended']}: {row['reason']}" if row["ended"] else "",
    )
