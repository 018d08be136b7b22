"""Runs of another tracker, in the one shape that every reader makes of them.

A reader is a function `read(source: str, options: ReadOptions) -> ForeignRuns`. It raises
`UnreadableSource` for what it cannot read, saying where, and never anything else.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from experiments.errors import Problem, VerdictError
from experiments.trials.series.series_encoding import SeriesColumns

ForeignState = Literal["complete", "pruned", "failed", "cancelled", "running"]
ParameterValue = str | int | float | bool | None
Curves = Mapping[str, SeriesColumns]


class UnreadableSource(VerdictError):
    """A source that cannot be read; `problems` name the line, row or file."""

    status = 422

    @classmethod
    def at(cls, source: str, where: str, message: str) -> UnreadableSource:
        """An error with one place."""
        return cls(f"{source} cannot be imported.", [Problem(where, message)])


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Choices of whoever imports, for formats that leave them open (CSV).

    `parameters` and `metrics` name columns of that kind.
    """

    parameters: Sequence[str] = ()
    metrics: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A file of a run: its name there (folders by `/`) and where its content lies."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class ForeignRun:
    """A run as its tracker recorded it.

    `key` identifies it within its experiment: the same key is the same run at the next import.
    `curves` reads its metrics when they are needed. With a `stamp`, a run that was imported under
    the same stamp is skipped without reading them; without one they are compared.
    """

    key: str
    name: str = ""
    experiment: str = ""  # its experiment in the tracker; empty: the source's
    state: ForeignState = "complete"
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    curves: Callable[[], Curves] = dict
    started_at: dt.datetime | None = None  # aware
    finished_at: dt.datetime | None = None
    user: str = ""
    notes: str = ""
    commit: str = ""
    parent: str = ""  # key of the run that it is nested in; read before it
    files: Sequence[ForeignFile] = ()
    stamp: str = ""
    left_out: Sequence[str] = ()  # what of it was not read, and why


@dataclass(frozen=True, slots=True)
class ForeignRuns:
    """A source that was opened: its name, how many runs it has (None: unknown) and the runs.

    `remarks` say how it was understood, and what was left out of the whole.
    """

    name: str
    runs: Iterator[ForeignRun]
    total: int | None = None
    remarks: Sequence[str] = ()


def curve(points: Iterable[tuple[float, float, int]]) -> SeriesColumns:
    """The columns of points (step, value, time in ms); whole steps stay whole numbers."""
    rows = list(points)
    steps = [row[0] for row in rows]
    whole = all(float(step).is_integer() for step in steps)
    found: NDArray[np.int64] | NDArray[np.float64] = (
        np.array([int(step) for step in steps], dtype=np.int64)
        if whole
        else np.array(steps, dtype=np.float64)
    )
    return SeriesColumns(
        steps=found,
        values=np.array([row[1] for row in rows], dtype=np.float64),
        times_ms=np.array([row[2] for row in rows], dtype=np.int64),
    )


def milliseconds_of(seconds: float) -> int:
    """A wall time in seconds since 1970 as milliseconds; 0 for one that is no number."""
    return int(seconds * 1000) if math.isfinite(seconds) and abs(seconds) < 1e15 else 0
