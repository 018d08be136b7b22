"""MLflow's database in a SQLite file (`sqlite:///mlflow.db`), of every version since 1.0."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from experiments.tracking.imports.foreign_runs import (
    Curves,
    ForeignRun,
    ForeignRuns,
    Points,
    UnreadableSource,
    parents_first,
)
from experiments.tracking.imports.readers.local_files import (
    artifacts_below,
    is_within,
)
from experiments.tracking.imports.readers.mlflow_runs import PARENT, MLflowRun, value_of
from experiments.tracking.imports.readers.sqlite_file import open_readonly, tables

TABLES = {"experiments", "runs", "metrics", "params", "tags"}
_RUNS = """
    SELECT CAST(run_uuid AS TEXT), CAST(runs.name AS TEXT), CAST(status AS TEXT),
           CAST(start_time AS INTEGER), CAST(end_time AS INTEGER), CAST(user_id AS TEXT),
           CAST(artifact_uri AS TEXT), CAST(experiments.name AS TEXT), experiments.experiment_id
    FROM runs JOIN experiments ON experiments.experiment_id = runs.experiment_id
    WHERE runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active'
    ORDER BY experiments.experiment_id, start_time, run_uuid
"""
_PARENTS = "SELECT CAST(run_uuid AS TEXT), CAST(value AS TEXT) FROM tags WHERE key = ?"
_LEFT_OUT = """
    SELECT count(*) FROM runs JOIN experiments ON experiments.experiment_id = runs.experiment_id
    WHERE NOT (runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active')
"""
_POINTS = """
    SELECT CAST(key AS TEXT), CAST(step AS INTEGER), CAST(value AS REAL),
           CAST(coalesce(timestamp, 0) AS INTEGER), is_nan
    FROM metrics WHERE run_uuid = ? ORDER BY rowid
"""


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of `runs` with its experiment's name, and its parent by the tag."""

    run_id: str
    name: str | None
    status: str
    start_ms: int | None
    end_ms: int | None
    user: str | None
    address: str | None
    experiment: str
    experiment_id: int
    parent: str


def read_database(path: Path) -> ForeignRuns:
    """Open a database of MLflow.

    Raises:
        UnreadableSource: when it is no SQLite file, or none of MLflow's.
    """
    connection = open_readonly(path)
    try:
        missing = TABLES - tables(connection)
        if missing:
            raise UnreadableSource.at(
                str(path), "", f"This is no database of MLflow: it has no table {min(missing)}."
            )
        rows = _rows(connection)
        remarks = _remarks(connection)
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise UnreadableSource.at(str(path), "", f"SQLite cannot read it: {error}.") from None
    runs = _runs(connection, path, rows, remarks)
    return ForeignRuns(path.stem, runs, len(rows), remarks)


def _rows(connection: sqlite3.Connection) -> list[_Row]:
    parents = dict(
        connection.execute(
            "SELECT run_uuid, CAST(value AS TEXT) FROM tags WHERE key = ?", (PARENT,)
        ).fetchall()
    )
    found = [_Row(*(*row, parents.get(row[0], ""))) for row in connection.execute(_RUNS)]
    return parents_first(found, lambda row: row.run_id, lambda row: row.parent)


def _remarks(connection: sqlite3.Connection) -> list[str]:
    deleted = connection.execute(_LEFT_OUT).fetchone()[0]
    return [f"{deleted} deleted runs are left out."] if deleted else []


def _runs(
    connection: sqlite3.Connection, path: Path, rows: list[_Row], remarks: list[str]
) -> Iterator[ForeignRun]:
    try:
        for number, row in enumerate(rows):
            try:
                run = _run(connection, path, row)
            except (sqlite3.Error, TypeError, ValueError) as error:
                remarks.append(f"{len(rows) - number} runs cannot be read: SQLite says {error}.")
                return
            yield run.foreign()
    finally:
        connection.close()


def _run(connection: sqlite3.Connection, path: Path, row: _Row) -> MLflowRun:
    left_out: list[str] = []
    parameters = _texts(connection, "params", row.run_id)
    tags = _texts(connection, "tags", row.run_id)
    points = connection.execute(
        "SELECT count(*) FROM metrics WHERE run_uuid = ?", (row.run_id,)
    ).fetchone()[0]
    folder = _artifact_folder(path.resolve().parent, row)
    if folder is None and row.address:
        left_out.append(f"files at {row.address}")
    files = artifacts_below(folder, left_out) if folder else []
    sizes = [(file.name, file.size) for file in files]
    content = [row.status, row.end_ms, row.name, points, parameters, tags, sizes]
    return MLflowRun(
        run_id=row.run_id,
        name=row.name or "",
        experiment=row.experiment,
        status=row.status,
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        user=row.user or "",
        parameters=parameters,
        tags=tags,
        curves=lambda: _curves(path, row.run_id, left_out),
        files=files,
        stamp=hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
        left_out=left_out,
    )


def _texts(connection: sqlite3.Connection, table: str, run_id: str) -> dict[str, str]:
    rows = connection.execute(f"SELECT key, value FROM {table} WHERE run_uuid = ?", (run_id,))
    return {str(key): str(value) for key, value in rows}


def _curves(path: Path, run_id: str, left_out: list[str]) -> Curves:
    found: dict[str, Points] = defaultdict(Points)
    try:
        with closing(open_readonly(path)) as connection:
            for key, step, value, time, is_nan in connection.execute(_POINTS, (run_id,)):
                number = value_of(value, is_nan)
                found[key].add(int(step), number, int(time))
    except (sqlite3.Error, TypeError, ValueError) as error:
        left_out.append(f"run {run_id}: metrics after a place that cannot be read ({error})")
    return {key: points.columns() for key, points in found.items()}


def _artifact_folder(home: Path, row: _Row) -> Path | None:
    """The folder of a run's files, where it lies beside the database; None otherwise.

    A database may name any folder of this machine. Taken is only one below the database's own
    folder that is called as MLflow calls it: by the run's id, which is 32 hex digits.
    """
    if re.fullmatch("[0-9a-f]{32}", row.run_id) is None:
        return None
    address = urlsplit(row.address or "")
    own = f"{row.experiment_id}/{row.run_id}/artifacts"
    places = [home / "mlruns" / own, home / "mlartifacts" / own]
    if address.scheme in ("", "file"):
        places.insert(0, home / unquote(address.path))
    for place in places:
        named = place.parts[-2:] == (row.run_id, "artifacts")
        if named and place.is_dir() and is_within(place, home):
            return place
    return None
