"""Previews of files that programs logged. What a program wrote is read, never run: text and
tables are escaped, figures drawn anew, and images are told by their first bytes, SVG is none.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.charts.logged_figures import (
    MOST_CELLS,
    HistogramPlot,
    LoggedPlot,
    Matrix,
    logged_plot,
    matrix_of,
    overlaid,
)
from experiments.charts.theme import Plot
from experiments.trials.artifacts.queries import artifacts
from experiments.trials.artifacts.queries.artifacts import KeptFile

MOST_TEXT = 64 * 1024
MOST_JSON = 4 * 2**20
LARGEST_IMAGE = 32 * 2**20
ROWS, COLUMNS, CELL = 100, 30, 300
MOST_EDGES = 10_001
MOST_OVERLAID, LARGEST_OVERLAID = 10, 512 * 1024  # runs of one chart, bytes of a figure of each
IMAGES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
TEXTS = (".txt", ".log", ".md", ".json", ".yaml", ".yml", ".toml", ".py", ".xml", ".html", ".svg")


@dataclass(frozen=True, slots=True)
class Preview:
    """One of text, table, figure, matrix and image; `note` says what is left out, or why there is
    none.
    """

    text: str = ""
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    plot: Plot | None = field(default=None, repr=False)
    matrix: Matrix | None = field(default=None, repr=False)
    is_image: bool = False
    note: str = ""


def preview_of(file: KeptFile) -> Preview:
    """A file as its page shows it."""
    try:
        return _preview(file)
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        reason = f": {error}" if isinstance(error, ValueError) else ""
        return Preview(note=f"No preview{reason}. Download it instead.")


def overlay_of(files: Sequence[tuple[str, str, KeptFile]]) -> LoggedPlot | None:
    """Figures of several runs in one chart: name, hue and file of each; None where they are no
    figures of lines, or too large to read so many of.
    """
    lines = [entry for entry in files if entry[2].name.lower().endswith(".json")]
    if not 2 <= len(lines) <= MOST_OVERLAID or any(f.size > LARGEST_OVERLAID for *_, f in lines):
        return None
    try:
        return overlaid([(name, hue, _json(file)) for name, hue, file in lines])
    except (OSError, ValueError, RecursionError):
        return None


def image_type(file: KeptFile) -> str:
    """The type of an image that a browser may show, "" for anything else."""
    if file.size > LARGEST_IMAGE:
        return ""
    begin = first_bytes(file, 16)
    if begin[:4] == b"RIFF" and begin[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in IMAGES.items() if begin.startswith(magic)), "")


def first_bytes(file: KeptFile, most: int) -> bytes:
    """The beginning of a file.

    Raises:
        OSError: when it cannot be read.
    """
    read = bytearray()
    if file.size:
        for block in artifacts.content(file):
            read += block
            if len(read) >= most:
                break
    return bytes(read[:most])


def _preview(file: KeptFile) -> Preview:
    name = file.name.lower()
    if file.kind == "histogram":
        return _histogram(file)
    if file.kind == "table" or name.endswith((".csv", ".tsv")):
        return _table(file, "\t" if name.endswith(".tsv") else ",")
    if file.kind == "figure" and name.endswith(".json"):
        return _figure(file)
    if image_type(file):
        return Preview(is_image=True)
    if file.kind == "text" or name.endswith(TEXTS):
        text = first_bytes(file, MOST_TEXT).decode("utf-8", "replace")
        note = f"The first {MOST_TEXT // 1024} KiB." if file.size > MOST_TEXT else ""
        return Preview(text=text, note=note)
    return Preview(note="No preview of this kind of file.")


def _figure(file: KeptFile) -> Preview:
    document = _json(file)
    matrix = matrix_of(document)
    if matrix is None:
        return Preview(plot=logged_plot(document))
    note = f"The first {MOST_CELLS} rows and columns." if matrix.cut else ""
    return Preview(matrix=matrix, note=note)


def _histogram(file: KeptFile) -> Preview:
    given = _json(file)
    if not isinstance(given, dict):
        raise ValueError("it is no histogram")
    edges, counts = _numbers(given.get("edges")), _numbers(given.get("counts"))
    if len(edges) != len(counts) + 1:
        raise ValueError("it is no histogram")
    lost = given.get("not_finite")
    note = f"{lost:,} values are not finite." if isinstance(lost, int) and lost else ""
    return Preview(plot=HistogramPlot(edges, counts), note=note)


def _numbers(values: object) -> list[float]:
    if not isinstance(values, list) or not 0 < len(values) <= MOST_EDGES:
        raise ValueError("it is no histogram")
    if not all(isinstance(value, int | float) and abs(value) < 1e300 for value in values):
        raise ValueError("it is no histogram")
    return values


def _json(file: KeptFile) -> Any:
    if file.size > MOST_JSON:
        raise ValueError(f"it has more than {MOST_JSON // 2**20} MiB")
    return json.loads(first_bytes(file, MOST_JSON))


def _table(file: KeptFile, delimiter: str) -> Preview:
    read = first_bytes(file, 4 * MOST_TEXT).decode("utf-8-sig", "replace")
    is_cut = file.size > 4 * MOST_TEXT
    lines = list(csv.reader(io.StringIO(read, newline=""), delimiter=delimiter))
    if is_cut:
        lines = lines[:-1]
    return _cut(lines, is_cut=is_cut)


def _cut(lines: list[list[str]], *, is_cut: bool) -> Preview:
    """Table of the first rows and columns."""
    rows = [tuple(cell[:CELL] for cell in line[:COLUMNS]) for line in lines]
    more = is_cut or len(rows) > ROWS + 1 or any(len(line) > COLUMNS for line in lines)
    note = f"The first {ROWS} rows and {COLUMNS} columns." if more else ""
    return Preview(head=rows[0] if rows else (), rows=tuple(rows[1 : ROWS + 1]), note=note)
