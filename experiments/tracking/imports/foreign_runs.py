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
from typing import Literal, TypeVar

import numpy as np

from experiments.errors import Problem, VerdictError
from experiments.trials.series.series_encoding import SeriesColumns

ForeignState = Literal["complete", "pruned", "failed", "cancelled", "running"]
ParameterValue = str | int | float | bool | None
Curves = Mapping[str, SeriesColumns]
Item = TypeVar("Item")
_BLOCK = 2**20


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

    `parameters` and `metrics` name columns of that kind; `name` is that of a source whose path
    tells none. `most_runs` and `most_cells` bound what a file of somebody else may hold.
    """

    parameters: Sequence[str] = ()
    metrics: Sequence[str] = ()
    name: str = ""
    most_runs: int | None = None
    most_cells: int | None = None


class MissingFile(VerdictError):
    """A file that its source named and did not give whole; the next import tries again."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of a run on this machine: its name there (folders by `/`) and its path."""

    name: str
    path: Path

    @property
    def size(self) -> int:
        """Bytes of its content."""
        return self.path.stat().st_size

    def blocks(self) -> Iterator[bytes]:
        """Its content. Raises OSError when it cannot be read."""
        with self.path.open("rb") as content:
            while block := content.read(_BLOCK):
                yield block


@dataclass(frozen=True, slots=True)
class ServedFile:
    """A file of a run on a server: its name there, its bytes, and its content while it comes.

    `blocks` raises `MissingFile`, or `UnreadableSource` when the server is gone.
    """

    name: str
    size: int
    blocks: Callable[[], Iterator[bytes]]


ForeignFile = LocalFile | ServedFile


@dataclass(frozen=True, slots=True)
class ForeignRun:
    """A run as its tracker recorded it.

    `key` identifies it within its experiment: the same key is the same run at the next import. A
    tracker whose keys are a project's own names that as `scope`, for runs that come together here.
    `curves` reads its metrics when they are needed, iterating `files` may ask for them. With a
    `stamp`, a run that was imported under the same stamp is skipped without reading either;
    without one they are compared.
    """

    key: str
    scope: str = ""
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
    files: Iterable[ForeignFile] = ()
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


@dataclass(slots=True)
class Points:
    """The points of a curve while they are read, in logging order."""

    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)

    def add(self, step: float, value: float, time_ms: int) -> None:
        """Append a point."""
        self.steps.append(step)
        self.values.append(value)
        self.times_ms.append(time_ms)

    def columns(self) -> SeriesColumns:
        """The points as columns; whole steps become whole numbers, a time beyond int64 none."""
        steps = np.array(self.steps)
        if steps.dtype != np.int64:
            steps = steps.astype(np.float64)
            if np.all((steps == np.floor(steps)) & (np.abs(steps) < 2**63)):
                steps = steps.astype(np.int64)
        try:
            times = np.array(self.times_ms, dtype=np.int64)
        except OverflowError:
            whole = [time if abs(time) < 2**63 else 0 for time in self.times_ms]
            times = np.array(whole, dtype=np.int64)
        return SeriesColumns(steps, np.array(self.values, dtype=np.float64), times)


def curve(points: Iterable[tuple[float, float, int]]) -> SeriesColumns:
    """The columns of points (step, value, time in ms)."""
    found = Points()
    for step, value, time in points:
        found.add(step, value, time)
    return found.columns()


def moment(milliseconds: float | None) -> dt.datetime | None:
    """A time in ms since 1970; none for 0, and for one that no calendar has."""
    if not milliseconds:
        return None
    try:
        return dt.datetime.fromtimestamp(milliseconds / 1000, tz=dt.UTC)
    except (OverflowError, ValueError, OSError):
        return None


def parents_first(
    items: Iterable[Item], key: Callable[[Item], str], parent: Callable[[Item], str]
) -> list[Item]:
    """Items ordered so that each stands after its parent; those of a ring as they come."""
    known = {key(item): item for item in items}
    ordered: dict[str, Item] = {}
    for name in known:
        line: dict[str, Item] = {}
        while name in known and name not in ordered and name not in line:
            line[name] = known[name]
            name = parent(known[name])
        for ancestor in reversed(line):
            ordered[ancestor] = line[ancestor]
    return list(ordered.values())


def milliseconds_of(seconds: float) -> int:
    """A wall time in seconds since 1970 as milliseconds; 0 for one that is no number."""
    return int(seconds * 1000) if math.isfinite(seconds) and abs(seconds) < 1e15 else 0
