from __future__ import annotations

import csv
import io
import struct
from collections.abc import Iterator

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.trials.series import arrow_writers
from experiments.trials.series.series_encoding import SeriesColumns
from experiments.trials.series.series_files import Kind, Piece, write
from experiments.web.spreadsheet import inert

INT64 = st.integers(-(2**63), 2**63 - 1)
POINTS = st.lists(st.tuples(INT64, st.floats(), INT64), max_size=20)
PIECES = st.lists(
    st.tuples(st.sampled_from(["0", "B17"]), st.text(min_size=1, max_size=9), POINTS), max_size=6
)
Rows = list[tuple[str, str, int, int, bytes]]


def piece(trial: str, metric: str, points: list[tuple[int, float, int]]) -> Piece:
    steps, values, times = zip(*points, strict=True) if points else ((), (), ())
    columns = SeriesColumns(
        np.array(steps, np.int64), np.array(values, np.float64), np.array(times, np.int64)
    )
    return Piece(trial, metric, columns)


def bits(value: float) -> bytes:
    return b"nan" if value != value else struct.pack("<d", value)


def rows_of(raw: bytes, kind: Kind) -> Rows:
    if kind == "csv":
        found = list(csv.DictReader(io.StringIO(raw.decode(), newline="")))
    else:
        found = pyarrow.parquet.read_table(io.BytesIO(raw)).to_pylist()
    return [
        (
            row["trial"],
            row["metric"],
            int(row["step"]),
            int(row["time_ms"]),
            bits(float(row["value"])),
        )
        for row in found
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@given(PIECES)
def test_every_point_reads_back_to_the_last_bit(
    kind: Kind, pieces: list[tuple[str, str, list[tuple[int, float, int]]]]
) -> None:
    raw = b"".join(write((piece(*arguments) for arguments in pieces), kind))
    assert rows_of(raw, kind) == [
        (trial, inert(metric) if kind == "csv" else metric, step, time, bits(value))
        for trial, metric, points in pieces
        for step, value, time in points
    ]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_no_name_is_a_formula_for_a_spreadsheet(start: str) -> None:
    pieces = [piece(f"{start}1", f"{start}cmd|' /C calc'!A0", [(0, -0.5, 5)])]
    ((trial, metric, *_),) = rows_of(b"".join(write(iter(pieces), "csv")), "csv")
    assert (trial, metric) == (f"'{start}1", f"'{start}cmd|' /C calc'!A0")
    exact = rows_of(b"".join(write(iter(pieces), "parquet")), "parquet")
    assert exact == [(f"{start}1", f"{start}cmd|' /C calc'!A0", 0, 5, bits(-0.5))]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_is_written_in_parts_while_it_is_read(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_writers, "ROWS", 10)
    made = 0

    def pieces() -> Iterator[Piece]:
        nonlocal made
        for number in range(50):
            made += 1
            yield piece("0", "loss", [(number, number / 3, 5)])

    parts = write(pieces(), kind)
    raw = next(parts) + next(parts)
    assert made <= 20
    raw += b"".join(parts)
    assert [row[2] for row in rows_of(raw, kind)] == list(range(50))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_nothing_is_a_file_with_columns(kind: Kind) -> None:
    raw = b"".join(write([], kind))
    assert rows_of(raw, kind) == []
    assert b"time_ms" in raw


def test_a_bits_of_nan_survive_in_parquet() -> None:
    odd = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000123))[0]
    raw = b"".join(write([piece("0", "loss", [(1, odd, 1)])], "parquet"))
    column = pyarrow.parquet.read_table(io.BytesIO(raw))["value"].to_numpy()
    assert column.tobytes() == struct.pack("<Q", 0x7FF8000000000123)
