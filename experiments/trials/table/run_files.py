"""Runs of a table as files: CSV, Parquet and JSON with exactly the columns that are shown.

Doubles are exact. In CSV nothing is a formula for a spreadsheet, and what is not finite reads nan,
inf or -inf; JSON writes such numbers as those texts. Times are UTC in ISO 8601.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from experiments.web.spreadsheet import inert

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["csv", "parquet", "json"]
CONTENT_TYPES: dict[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
}
FewRows = Sequence[Sequence[object]]


def write(pieces: Iterable[FewRows], names: Sequence[str], kind: Kind) -> Iterator[bytes]:
    """The bytes of a file, in parts. `pieces` are rows with a value for each name."""
    if kind == "csv":
        return _csv(pieces, names)
    return _json(pieces, names) if kind == "json" else _parquet(pieces, names)


def _csv(pieces: Iterable[FewRows], names: Sequence[str]) -> Iterator[bytes]:
    yield _lines([[inert(name) for name in names]])
    for rows in pieces:
        yield _lines([[_cell(value) for value in row] for row in rows])


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows(rows)
    return lines.getvalue().encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return inert(str(value).replace("\x00", ""))


def _json(pieces: Iterable[FewRows], names: Sequence[str]) -> Iterator[bytes]:
    yield b"["
    first = True
    for rows in pieces:
        for row in rows:
            found = dict(zip(names, map(_plain, row), strict=True))
            yield (b"\n" if first else b",\n") + json.dumps(found, allow_nan=False).encode()
            first = False
    yield b"\n]\n"


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value.isoformat() if isinstance(value, datetime) else value


def _parquet(pieces: Iterable[FewRows], names: Sequence[str]) -> Iterator[bytes]:
    """One file with a type for each column: double, whole number, truth or time where all its
    values are, text otherwise. The rows of a table are few enough to be looked at together.
    """
    import pyarrow as pa  # here: it is large, and few write files
    from pyarrow.parquet import write_table

    rows = [row for piece in pieces for row in piece]
    columns = [_array([row[place] for row in rows]) for place in range(len(names))]
    sink = io.BytesIO()
    write_table(pa.table(columns, names=list(names)), sink, compression="zstd")
    yield sink.getvalue()


def _array(values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    known = [value for value in values if value is not None]
    if known and all(isinstance(value, bool) for value in known):
        return pa.array(values, pa.bool_())
    if known and all(type(value) is int and abs(value) < 2**63 for value in known):
        return pa.array(values, pa.int64())
    if known and all(type(value) in (int, float) for value in known):
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    if known and all(isinstance(value, datetime) for value in known):
        return pa.array(values, pa.timestamp("us", tz="UTC"))
    return pa.array([None if value is None else str(value) for value in values], pa.string())
