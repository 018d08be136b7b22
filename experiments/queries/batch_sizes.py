"""What was measured of batch sizes in a project."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from experiments.models import BatchSizeProbe

MOST = 50


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
    objective: str
    parameters: Mapping[str, Any]
    device: str
    host: str
    at: datetime
    answer: str
    rows: tuple[SizeRow, ...]


def measurements(project_id: int) -> list[Measurement]:
    """The newest first."""
    held = BatchSizeProbe.objects.filter(project_id=project_id)[:MOST]
    return [
        Measurement(
            objective=each.objective,
            parameters=json.loads(each.parameters),
            device=each.device,
            host=each.host,
            at=each.created_at,
            answer=each.ended,
            rows=tuple(_row(row) for row in json.loads(each.rows)),
        )
        for each in held
    ]


def _row(row: Mapping[str, Any]) -> SizeRow:
    seconds = row["step_seconds"]
    return SizeRow(
        batch=row["batch"],
        examples_per_second=row["examples_per_second"],
        milliseconds=None if seconds is None else 1000 * seconds,
        peak_memory_mb=row["peak_memory_mb"],
        ended=f"{row['ended']}: {row['reason']}" if row["ended"] else "",
    )
