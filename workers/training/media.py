"""Media as the bytes of a file: images, figures, tables, histograms and text.

Only what a value can do is asked of it, so that none of the libraries it comes from is needed.
"""

from __future__ import annotations

import csv
import io
import json
import math
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# --- The same text stands in client/verdict.py, which is one file. ---

IMAGE_KINDS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp"}
BINS = 64


class Media(NamedTuple):
    """Content of a file, its kind, and the suffix of its name."""

    content: bytes
    kind: str
    suffix: str


def media_of_text(text: Any) -> Media:
    return Media(str(text).encode("utf-8", "replace"), "text", ".txt")


def media_of_image(image: Any) -> Media:
    """Image from a PNG, JPEG, GIF or WebP (its bytes or path), a Pillow image, or pixels: an array
    [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] of bytes, or of floats from 0 to 1.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(image, (str, Path)):
        image = Path(image).read_bytes()
    if isinstance(image, (bytes, bytearray)):
        for begin, suffix in IMAGE_KINDS.items():
            if image.startswith(begin):
                return Media(bytes(image), "image", suffix)
        raise ValueError("the file is no PNG, JPEG, GIF or WebP")
    if hasattr(image, "save") and hasattr(image, "mode"):  # Pillow
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        return Media(buffer.getvalue(), "image", ".png")
    for method in ("detach", "cpu", "numpy"):  # torch
        image = getattr(image, method)() if hasattr(image, method) else image
    if not hasattr(image, "shape") or not hasattr(image, "tolist"):
        raise ValueError(f"a {type(image).__name__} is no image")
    return Media(_png(image), "image", ".png")


def media_of_figure(figure: Any) -> Media:
    """Figure of matplotlib as a PNG, or of Plotly as its JSON.

    Raises:
        ValueError: for anything else.
    """
    figure = getattr(figure, "figure", figure) if not hasattr(figure, "savefig") else figure
    if hasattr(figure, "savefig"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", bbox_inches="tight")
        return Media(buffer.getvalue(), "figure", ".png")
    if hasattr(figure, "to_plotly_json"):
        return Media(figure.to_json().encode(), "figure", ".json")
    raise ValueError(f"a {type(figure).__name__} is no figure of matplotlib or Plotly")


def media_of_table(rows: Any, columns: Sequence[Any] | None = None) -> Media:
    """Table as CSV: a data frame, a mapping of columns, or rows (mappings, or sequences with
    `columns`).

    Raises:
        ValueError: for anything else.
    """
    if hasattr(rows, "columns") and hasattr(rows, "itertuples"):  # pandas
        columns, rows = list(rows.columns), list(rows.itertuples(index=False))
    elif isinstance(rows, Mapping):
        columns = list(rows)
        rows = list(zip(*(list(column) for column in rows.values())))  # noqa: B905
    elif isinstance(rows, Iterable) and not isinstance(rows, (str, bytes)):
        rows = list(rows)
        if rows and all(isinstance(row, Mapping) for row in rows):
            columns = list(dict.fromkeys(name for row in rows for name in row))
            rows = [[row.get(name, "") for name in columns] for row in rows]
    else:
        raise ValueError(f"a {type(rows).__name__} is no table")
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    if columns is not None:
        writer.writerow(columns)
    writer.writerows(row if isinstance(row, Iterable) else [row] for row in rows)
    return Media(buffer.getvalue().encode("utf-8", "replace"), "table", ".csv")


def media_of_histogram(values: Any, bins: int = BINS) -> Media:
    """Histogram of finite values over `bins` equal bins; those that are not finite are counted.

    Raises:
        ValueError: without any value.
    """
    for method in ("detach", "cpu", "flatten", "tolist"):
        values = getattr(values, method)() if hasattr(values, method) else values
    numbers = [float(value) for value in values]
    finite = sorted(number for number in numbers if math.isfinite(number))
    if not numbers:
        raise ValueError("there are no values")
    low, high = (finite[0], finite[-1]) if finite else (0.0, 0.0)
    width = (high - low) / bins
    counts = [0] * bins
    for number in finite:
        counts[min(bins - 1, int((number - low) / width)) if width > 0 else 0] += 1
    content = {
        "edges": [low + width * edge for edge in range(bins)] + [high],
        "counts": counts,
        "not_finite": len(numbers) - len(finite),
    }
    return Media(json.dumps(content).encode(), "histogram", ".json")


def _png(pixels: Any) -> bytes:
    """PNG of pixels, its lines unfiltered (ISO/IEC 15948)."""
    shape = tuple(int(size) for size in pixels.shape)
    channels = 1 if len(shape) == 2 else shape[2] if len(shape) == 3 else 0
    if channels not in (1, 3, 4) or 0 in shape:
        raise ValueError(
            f"expected [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], found {list(shape)}"
        )
    scale = 255 if "float" in str(getattr(pixels, "dtype", "")) else 1
    lines = bytearray()
    for line in pixels.tolist():
        lines.append(0)  # no filter
        for pixel in line:
            values = pixel if isinstance(pixel, list) else [pixel]
            lines += bytes(_byte(value * scale) for value in values)
    colour = {1: 0, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", shape[1], shape[0], 8, colour, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(bytes(lines), 6)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def _byte(value: float) -> int:
    return min(255, max(0, round(value))) if math.isfinite(value) else 0


# --- End of what stands in both. ---
