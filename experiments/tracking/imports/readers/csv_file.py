"""Runs of a CSV file: one row a run, or with a column of steps one row a step of a run."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from experiments.tracking.imports.foreign_runs import (
    Curves,
    ForeignRun,
    ForeignRuns,
    ForeignState,
    ReadOptions,
    UnreadableSource,
    curve,
    milliseconds_of,
)
from experiments.tracking.imports.readers.csv_columns import Columns, columns_of
from experiments.trials.series.series_encoding import SeriesColumns

_STATES: Mapping[str, ForeignState] = {
    "": "complete",
    "complete": "complete",
    "completed": "complete",
    "finished": "complete",
    "success": "complete",
    "pruned": "pruned",
    "fail": "failed",
    "failed": "failed",
    "crashed": "failed",
    "error": "failed",
    "killed": "cancelled",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "running": "running",
    "scheduled": "running",
    "waiting": "running",
}
_LONGEST_CELL = 1_000_000
_BY_COMMAND = "; import a larger file by the command `verdict import csv`"
_MISSING = ("", "none", "null", "n/a")
Row = Sequence[str]


def read(source: str, options: ReadOptions) -> ForeignRuns:
    """Read a file whole; nothing of one with a bad line is imported.

    Raises:
        UnreadableSource: naming the line.
    """
    path = Path(source)
    name = options.name or path.name
    rows = _rows(path, name)
    headers = [header.strip() for header in next(rows, (1, []))[1]]
    if not headers:
        raise UnreadableSource.at(name, "line 1", "the file is empty")
    columns = columns_of(name, headers, options)
    reader = _Reader(name, columns, options)
    runs = reader.runs_of_steps(rows) if columns.has_steps else reader.runs_of_rows(rows)
    if not runs:
        raise UnreadableSource.at(name, "line 2", "there is no row below the headers")
    return ForeignRuns(reader.stem, iter(runs), len(runs), _remarks(columns))


def _remarks(columns: Columns) -> list[str]:
    kinds = {"parameters": columns.parameters, "metrics": columns.metrics, "tags": columns.tags}
    return [f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names]


def _rows(path: Path, name: str) -> Iterator[tuple[int, Row]]:
    """Line number and cells of each row that is not empty.

    Raises:
        UnreadableSource: for a file that is not there, no text, or no CSV.
    """
    line = 0
    csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline(_LONGEST_CELL)
            file.seek(0)
            delimiter = max(",;\t", key=first.count)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            width = 0
            for row in reader:
                line = reader.line_num
                if not any(row):
                    continue
                width = width or len(row)
                if len(row) != width:
                    raise UnreadableSource.at(
                        name, f"line {line}", f"{len(row)} cells under {width} headers"
                    )
                yield line, row
    except UnicodeDecodeError as error:
        raise UnreadableSource.at(
            name, f"after line {line}", f"no UTF-8 text ({error.reason}); save it as UTF-8"
        ) from None
    except csv.Error as error:
        raise UnreadableSource.at(name, f"line {line + 1}", f"no CSV ({error})") from None
    except OSError as error:
        raise UnreadableSource.at(name, "", error.strerror or str(error)) from None


@dataclass(slots=True)
class _Open:
    """A run whose steps are being read."""

    line: int
    row: Row
    points: dict[str, tuple[array[float], array[float], array[int]]] = field(default_factory=dict)
    last: Row = ()

    def add(self, name: str, step: float, value: float, time: int) -> None:
        if name not in self.points:
            self.points[name] = (array("d"), array("d"), array("q"))
        steps, values, times = self.points[name]
        steps.append(step)
        values.append(value)
        times.append(time)

    def curves(self) -> Curves:
        return {name: _columns_of(*points) for name, points in self.points.items()}


class _Reader:
    """Rows of one file as runs; errors name the line."""

    def __init__(self, name: str, columns: Columns, options: ReadOptions) -> None:
        self._name = name
        self._columns = columns
        self._most_runs = options.most_runs
        self._most_cells = options.most_cells
        self._cells = 0

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        return Path(self._name).stem

    def _count(self, line: int, runs: int) -> None:
        """Count a row, and refuse one beyond the bounds."""
        self._cells += len(self._columns.headers)
        if self._most_runs is not None and runs > self._most_runs:
            raise self._bad(line, f"more than {self._most_runs:,} runs{_BY_COMMAND}")
        if self._most_cells is not None and self._cells > self._most_cells:
            raise self._bad(line, f"more than {self._most_cells:,} cells{_BY_COMMAND}")

    def runs_of_rows(self, rows: Iterator[tuple[int, Row]]) -> list[ForeignRun]:
        """Runs of a file with one row a run."""
        seen: Counter[str] = Counter()
        lines: dict[tuple[str, str], int] = {}
        found: list[ForeignRun] = []
        for line, row in rows:
            self._count(line, len(found) + 1)
            parameters = self._texts(row, self._columns.parameters)
            key = self._cell(row, "key")
            own = (self._cell(row, "experiment"), key)
            if key and own in lines:
                raise self._bad(line, f"the run {key:.100} stands in line {lines[own]} already")
            lines[own] = line
            if not key:
                key = _digest(parameters)
                seen[key] += 1
                key = f"{key}-{seen[key]}"
            self._single_points(line, row)  # a bad cell is told before anything is imported
            points = partial(self._single_points, line, row)
            found.append(self._run(line, row, key, parameters, points))
        return found

    def runs_of_steps(self, rows: Iterator[tuple[int, Row]]) -> list[ForeignRun]:
        """Runs of a file with one row a step; without a column that names the run it is one."""
        opened: dict[tuple[str, str], _Open] = {}
        for line, row in rows:
            self._count(line, len(opened))
            key = self._cell(row, "key") or self._cell(row, "name") or "run"
            own = (self._cell(row, "experiment"), key)
            run = opened.get(own)
            if run is None:
                run = opened[own] = _Open(line, row)
            run.last = row
            step = self._number(line, row, self._columns.fields["step"])
            if step is None or not math.isfinite(step) or abs(step) >= 2**63:
                raise self._bad(line, "no step: expected a number")
            time = self._time_ms(line, row)
            for name, at in self._columns.metrics.items():
                value = self._number(line, row, at)
                if value is not None:
                    run.add(name, step, value, time)
        return [
            self._run(
                run.line,
                run.last,
                key,
                self._texts(run.row, self._columns.parameters),
                run.curves,
            )
            for (_, key), run in opened.items()
        ]

    def _run(
        self,
        line: int,
        row: Row,
        key: str,
        parameters: dict[str, str],
        curves: Callable[[], Curves],
    ) -> ForeignRun:
        state = self._cell(row, "state").lower().removeprefix("trialstate.")
        if state not in _STATES:
            known = ", ".join(filter(None, _STATES))
            raise self._bad(line, f"the state {state:.50} is not known; expected one of {known}")
        single = self._columns.has_steps and not {"key", "name"} & set(self._columns.fields)
        return ForeignRun(
            key=key,
            name=self._cell(row, "name") or (self.stem if single else ""),
            experiment=self._cell(row, "experiment"),
            state=_STATES[state],
            parameters=parameters,
            tags=self._texts(row, self._columns.tags),
            curves=curves,
            started_at=self._moment(line, row, "started_at"),
            finished_at=self._moment(line, row, "finished_at"),
        )

    def _single_points(self, line: int, row: Row) -> Curves:
        ended = self._moment(line, row, "finished_at") or self._moment(line, row, "started_at")
        time = milliseconds_of(ended.timestamp()) if ended else 0
        found = {}
        for name, at in self._columns.metrics.items():
            value = self._number(line, row, at)
            if value is not None:
                found[name] = curve([(0, value, time)])
        return found

    def _texts(self, row: Row, columns: Mapping[str, int]) -> dict[str, str]:
        return {name: row[at].strip() for name, at in columns.items() if row[at].strip()}

    def _cell(self, row: Row, name: str) -> str:
        at = self._columns.fields.get(name)
        return "" if at is None else row[at].strip()

    def _number(self, line: int, row: Row, at: int) -> float | None:
        text = row[at].strip()
        try:
            return float(text)
        except ValueError:
            if text.lower() in _MISSING:
                return None
        header = self._columns.headers[at]
        raise self._bad(line, f"{text!r:.60} is no number", f", column {header:.100}")

    def _time_ms(self, line: int, row: Row) -> int:
        at = self._columns.fields.get("time")
        number = None if at is None else self._number(line, row, at)
        if at is None or number is None:
            return 0
        is_ms = self._columns.headers[at].lower() == "time_ms" or number > 1e11
        return milliseconds_of(number / 1000 if is_ms else number)

    def _moment(self, line: int, row: Row, name: str) -> dt.datetime | None:
        text = self._cell(row, name)
        if not text or text.lower() in ("nat", *_MISSING):
            return None
        try:
            time = dt.datetime.fromisoformat(text)
            # Files from elsewhere seldom name a zone: UTC.
            return time.astimezone(dt.UTC) if time.tzinfo else time.replace(tzinfo=dt.UTC)
        except (ValueError, OverflowError):
            header = self._columns.headers[self._columns.fields[name]]
            raise self._bad(
                line, f"{text!r:.60} is no time; expected ISO 8601", f", column {header:.100}"
            ) from None

    def _bad(self, line: int, message: str, where: str = "") -> UnreadableSource:
        return UnreadableSource.at(self._name, f"line {line}{where}", message)


def _columns_of(steps: array[float], values: array[float], times: array[int]) -> SeriesColumns:
    numbers = np.array(steps)
    whole = np.all(numbers == np.floor(numbers))
    return SeriesColumns(
        numbers.astype(np.int64) if whole else numbers,
        np.array(values),
        np.array(times, dtype=np.int64),
    )


def _digest(parameters: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:32]
