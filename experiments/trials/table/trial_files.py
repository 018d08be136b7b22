"""Trials as CSV: every double exact, nothing that a spreadsheet would run as a formula.

Columns: trial, state, arm, `params.` and each parameter, the score under the metric's name, then
where, when and with which code (see `TrialRow`). Times are UTC in ISO 8601; what is not finite
reads nan, inf or -inf.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from experiments.web.spreadsheet import inert

CONTENT_TYPE = "text/csv; charset=utf-8"
ROWS = 500  # of one part


@dataclass(frozen=True, slots=True)
class ExportedTrial:
    """One trial; the scientific values of its arm are among the parameters."""

    name: str
    state: str
    arm: str
    parameters: dict[str, Any]
    score: float | None
    best_step: float | None
    seconds: float | None
    started_at: datetime | None
    finished_at: datetime | None
    train_seed: int | None
    split_seed: int | None
    origin: str
    failure_kind: str
    failure_reason: str
    code: str


def write(
    trials: Iterable[ExportedTrial], *, metric: str, parameters: Sequence[str]
) -> Iterator[bytes]:
    """The bytes of the file, in parts."""
    header: list[object] = [
        "trial",
        "state",
        "arm",
        *(f"params.{name}" for name in parameters),
        metric,
    ]
    header += ["at_step", "seconds", "started_at", "finished_at", "train_seed", "split_seed"]
    header += ["origin", "failure_kind", "failure_reason", "code"]
    part = [header]
    for trial in trials:
        part.append(_cells(trial, parameters))
        if len(part) >= ROWS:
            yield _text(part)
            part = []
    if part:
        yield _text(part)


def _cells(trial: ExportedTrial, parameters: Sequence[str]) -> list[object]:
    return [
        trial.name,
        trial.state,
        trial.arm,
        *(trial.parameters.get(name) for name in parameters),
        trial.score,
        trial.best_step,
        trial.seconds,
        trial.started_at,
        trial.finished_at,
        trial.train_seed,
        trial.split_seed,
        trial.origin,
        trial.failure_kind,
        trial.failure_reason,
        trial.code,
    ]


def _text(rows: Sequence[Sequence[object]]) -> bytes:
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([[_cell(value) for value in row] for row in rows])
    return lines.getvalue().encode()


def _cell(value: object) -> str:
    """A value as text; text that a spreadsheet would run gets an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)  # the shortest text that reads back as the same double
    if isinstance(value, datetime):
        return value.isoformat()
    return inert(str(value).replace("\x00", ""))
