"""Writers of series files, apart from `series_files`: only who writes one waits for pyarrow, and
only then does the web server keep its 28 MB.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from experiments.trials.series.series_files import Piece
from experiments.web.spreadsheet import inert

ROWS = 100_000  # of one piece: a few megabytes in memory
SCHEMA = pa.schema(
    [
        ("trial", pa.string()),
        ("metric", pa.string()),
        ("step", pa.int64()),
        ("time_ms", pa.int64()),
        ("value", pa.float64()),
        ("attempt", pa.int32()),
        ("on_curve", pa.bool_()),
    ]
)
_ANY_STEPS = SCHEMA.set(2, pa.field("step", pa.float64()))


def write_csv(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """The bytes of a CSV file, in parts."""
    yield (",".join(f'"{name}"' for name in SCHEMA.names) + "\n").encode()
    options = pyarrow.csv.WriteOptions(include_header=False)
    named = (replace(one, trial=inert(one.trial), metric=inert(one.metric)) for one in pieces)
    for table in _tables(named):
        sink = pa.BufferOutputStream()
        pyarrow.csv.write_csv(table, sink, options)
        yield sink.getvalue().to_pybytes()


def write_parquet(pieces: Iterable[Piece], any_steps: Callable[[], bool]) -> Iterator[bytes]:
    """The bytes of a Parquet file, in parts; see `series_files.write`."""
    sink = _Outlet()
    schema = _ANY_STEPS if any_steps() else SCHEMA
    with pyarrow.parquet.ParquetWriter(
        sink, schema, compression="zstd", use_dictionary=["trial", "metric"]
    ) as writer:
        for table in _tables(pieces, schema):
            writer.write_table(table)
            yield sink.take()
    yield sink.take()


def _tables(pieces: Iterable[Piece], schema: pa.Schema | None = None) -> Iterator[pa.Table]:
    """Pieces put together to about `ROWS` rows; without a schema a table's steps are integers or
    floats, as they are told.
    """
    batches: list[pa.RecordBatch] = []
    rows = 0
    for piece in pieces:
        count = len(piece.columns.steps)
        if not count:  # pyarrow 25 writes garbage to CSV for an empty batch among others
            continue
        own = SCHEMA if piece.columns.steps.dtype == np.int64 else _ANY_STEPS
        batch = _batch(piece, schema or own)
        if batches and batches[-1].schema != batch.schema:
            yield pa.Table.from_batches(batches)
            batches, rows = [], 0
        batches.append(batch)
        rows += count
        if rows >= ROWS:
            yield pa.Table.from_batches(batches)
            batches, rows = [], 0
    if batches:
        yield pa.Table.from_batches(batches)


def _batch(piece: Piece, schema: pa.Schema) -> pa.RecordBatch:
    count = len(piece.columns.steps)
    return pa.record_batch(
        [
            pa.repeat(pa.scalar(piece.trial), count),
            pa.repeat(pa.scalar(piece.metric), count),
            pa.array(piece.columns.steps).cast(schema.field("step").type, safe=schema is SCHEMA),
            pa.array(piece.columns.times_ms),
            pa.array(piece.columns.values),
            pa.repeat(pa.scalar(piece.attempt, pa.int32()), count),
            pa.repeat(pa.scalar(piece.on_curve), count),
        ],
        schema=schema,
    )


class _Outlet(io.RawIOBase):
    """A file that keeps what is written only until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
