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
MOST_CLASSES, MOST_CURVES, MOST_POINTS, MOST_EXAMPLES = 50, 20, 500, 2_000_000


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


def media_of_confusion_matrix(
    labels: Any, predictions: Any, classes: Sequence[Any] | None = None
) -> Media:
    """Counts of predicted classes by true class, as a heatmap of Plotly.

    `labels` [N] are classes; `predictions` [N] as well, or scores [N, C] of which the largest
    counts. `classes` name the classes 0 to C - 1. Beyond `MOST_CLASSES` the rarest are joined.

    Raises:
        ValueError: for lists of different lengths, or none.
    """
    true, predicted = _listed(labels), _listed(predictions)
    if predicted and isinstance(predicted[0], list):
        predicted = [row.index(max(row)) for row in predicted]
    _check_lengths(true, predicted)
    true, predicted = (
        [_class_name(label, classes) for label in side] for side in (true, predicted)
    )
    counts: dict[Any, int] = {}
    for name in (*true, *predicted):
        counts[name] = counts.get(name, 0) + 1
    known = [] if classes is None else [str(class_name) for class_name in classes]
    shown = list(dict.fromkeys([*known, *sorted(counts, key=_class_order)]))
    if len(shown) > MOST_CLASSES:
        often = sorted(shown, key=lambda name: -counts.get(name, 0))[: MOST_CLASSES - 1]
        shown = [*(name for name in shown if name in often), "other"]
    places = {name: place for place, name in enumerate(shown)}
    other = len(shown) - 1
    matrix = [[0] * len(shown) for _ in shown]
    for name, guess in zip(true, predicted):  # noqa: B905
        matrix[places.get(name, other)][places.get(guess, other)] += 1
    names = [str(name) for name in shown]
    heatmap = {"type": "heatmap", "x": names, "y": names, "z": matrix}
    return _figure([heatmap], "predicted", "true", {"autorange": "reversed"})


def media_of_roc_curve(labels: Any, scores: Any, classes: Sequence[Any] | None = None) -> Media:
    """Receiver operating characteristic as a figure of Plotly, the area under it in its name.

    `labels` [N] are 0 or 1 beside `scores` [N] of class 1; or classes 0 to C - 1 beside `scores`
    [N, C], for a curve of each class against the rest. `classes` name the classes.

    Raises:
        ValueError: for scores that are not finite, or labels that do not belong to them.
    """
    return _figure(
        [_curve(name, *_roc(pairs), "AUC") for name, pairs in _sides(labels, scores, classes)],
        "false positive rate",
        "true positive rate",
    )


def media_of_pr_curve(labels: Any, scores: Any, classes: Sequence[Any] | None = None) -> Media:
    """Precision by recall as a figure of Plotly, the average precision in its name; what is given
    and raised as in `media_of_roc_curve`.
    """
    return _figure(
        [_curve(name, *_pr(pairs), "AP") for name, pairs in _sides(labels, scores, classes)],
        "recall",
        "precision",
    )


def _sides(
    labels: Any, scores: Any, classes: Sequence[Any] | None
) -> list[tuple[str, list[tuple[float, bool]]]]:
    """Scores with whether each is of the class, by class; the largest score first."""
    true, given = _listed(labels), _listed(scores)
    _check_lengths(true, given)
    widths = {len(row) if isinstance(row, list) else 0 for row in given}
    if len(widths) > 1:
        raise ValueError("every example needs as many scores")
    several = max(widths) > 1
    columns = list(zip(*given)) if several else [given]  # noqa: B905
    count = len(columns) if several else 2
    if classes is not None and len(classes) < count:
        raise ValueError(f"{len(classes)} names for {count} classes")
    numbers = true if several else [0 if label == -1 else label for label in true]
    if not set(numbers) <= set(range(count)):
        allowed = f"0 to {count - 1}" if several else "0 or 1"
        raise ValueError(f"expected labels {allowed}, found {sorted(set(map(str, true)))[:5]}")
    found = []
    for place, column in enumerate(columns[:MOST_CURVES]):
        values = [float(score) for score in column]
        if not all(map(math.isfinite, values)):
            raise ValueError("the scores hold values that are not finite")
        wanted = place if several else 1
        pairs = [(score, label == wanted) for score, label in zip(values, numbers)]  # noqa: B905
        positives = sum(positive for _, positive in pairs)
        if 0 < positives < len(pairs):
            name = str(classes[wanted]) if classes is not None else str(place) if several else ""
            found.append((name, sorted(pairs, key=lambda pair: -pair[0])))
    if not found:
        raise ValueError("examples of both classes are needed")
    return found


def _steps(pairs: Sequence[tuple[float, bool]]) -> list[tuple[int, int]]:
    """True and false positives at each threshold, from the highest; equal scores are one."""
    found = []
    true = false = 0
    for place, (score, positive) in enumerate(pairs):
        true, false = true + positive, false + (not positive)
        if place + 1 == len(pairs) or pairs[place + 1][0] != score:
            found.append((true, false))
    return found


def _roc(pairs: Sequence[tuple[float, bool]]) -> tuple[list[float], list[float], float]:
    """False and true positive rates, and the area by trapezoids."""
    counts = [(0, 0), *_steps(pairs)]
    true, false = counts[-1]
    x, y = [count[1] / false for count in counts], [count[0] / true for count in counts]
    area = sum((x[i] - x[i - 1]) * (y[i] + y[i - 1]) / 2 for i in range(1, len(x)))
    return x, y, area


def _pr(pairs: Sequence[tuple[float, bool]]) -> tuple[list[float], list[float], float]:
    """Recall and precision, and the average precision: a sum of steps, not of trapezoids, which
    would be too hopeful (Davis and Goadrich 2006).
    """
    counts = _steps(pairs)
    x = [0.0, *(true / counts[-1][0] for true, _ in counts)]
    y = [true / (true + false) for true, false in counts]
    area = sum((x[i + 1] - x[i]) * y[i] for i in range(len(y)))
    return x, [1.0, *y], area


def _curve(name: str, x: list[float], y: list[float], area: float, unit: str) -> dict[str, Any]:
    places = _thinned(x, y)
    words = f"{name}, {unit} {area:.4f}" if name else f"{unit} {area:.4f}"
    drawn = {"x": [round(x[at], 6) for at in places], "y": [round(y[at], 6) for at in places]}
    return {"type": "scatter", "mode": "lines", "name": words, **drawn}


def _thinned(x: Sequence[float], y: Sequence[float]) -> list[int]:
    """Places of at most about `MOST_POINTS` points at even distances along a curve."""
    steps = [abs(x[i] - x[i - 1]) + abs(y[i] - y[i - 1]) for i in range(1, len(x))]
    least = sum(steps) / MOST_POINTS
    places, walked = [0], 0.0
    for place, step in enumerate(steps, 1):
        walked += step
        if walked >= least or place == len(steps):
            places.append(place)
            walked = 0.0
    return places


def _figure(
    data: list[dict[str, Any]], across: str, upwards: str, more: Mapping[str, Any] | None = None
) -> Media:
    layout = {
        "xaxis": {"title": {"text": across}},
        "yaxis": {"title": {"text": upwards}, **(more or {})},
    }
    content = json.dumps({"data": data, "layout": layout}, separators=(",", ":"))
    return Media(content.encode("utf-8", "replace"), "figure", ".json")


def _listed(values: Any) -> list[Any]:
    """List of an array, a tensor, a column or any other iterable; rows of one value are it."""
    for method in ("detach", "cpu", "tolist"):
        values = getattr(values, method)() if hasattr(values, method) else values
    found = [value.tolist() if hasattr(value, "tolist") else value for value in values]
    return [row[0] if isinstance(row, list) and len(row) == 1 else row for row in found]


def _check_lengths(labels: Sequence[Any], others: Sequence[Any]) -> None:
    if len(labels) != len(others) or not labels:
        raise ValueError(f"{len(labels)} labels beside {len(others)} predictions")
    if len(labels) > MOST_EXAMPLES:
        raise ValueError(f"more than {MOST_EXAMPLES:,} examples; log a part of them")
    if any(isinstance(label, list) for label in labels):
        raise ValueError("expected one class as the label of each example, found a list")


def _class_name(value: Any, classes: Sequence[Any] | None) -> Any:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if classes is not None and isinstance(value, int) and 0 <= value < len(classes):
        return str(classes[value])
    return value


def _class_order(name: Any) -> tuple[bool, float, str]:
    is_number = isinstance(name, (int, float))
    return (not is_number, name if is_number else 0.0, str(name))


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
