"""Figures that programs logged, made anew from their numbers: of what they hold nothing else, no
markup, link, picture or address, reaches the page.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.charts.theme import ACCENT, HUES, Figure, axis, escaped, layout, plain

MOST_TRACES, MOST_POINTS, MOST_TEXT = 50, 20_000, 200
MOST_CELLS, SHADES = 50, 8  # of a side of a matrix, of its cells
_TYPES = {"scatter": "scatter", "scattergl": "scatter", "bar": "bar"}
_MODES = ("lines", "markers", "lines+markers")
_NUMBERS = {"f8", "f4", "i1", "i2", "i4", "u1", "u2", "u4"}  # as plotly.py packs arrays


def histogram_plot(edges: Sequence[float], counts: Sequence[float]) -> Figure:
    """Counts [B] between edges [B + 1]."""
    ends = np.asarray(edges, dtype=float)
    bars = {
        "type": "bar",
        "x": plain((ends[:-1] + ends[1:]) / 2),
        "y": list(counts),
        "width": plain(np.maximum(np.diff(ends), 1e-12)),
        "marker": {"color": ACCENT},
        "hovertemplate": "%{x:.4g}: %{y}<extra></extra>",
    }
    return {"data": [bars], "layout": layout(xaxis=axis("value"), yaxis=axis("count"))}


def redrawn(document: object) -> Figure:
    """A Plotly figure [traces] with its own data, axis titles and names, in this page's theme.

    Raises:
        ValueError: when it is none, or of a kind that is not drawn here.
    """
    given = document.get("data") if isinstance(document, Mapping) else None
    if not isinstance(given, list) or not 0 < len(given) <= MOST_TRACES:
        raise ValueError(f"expected 1 to {MOST_TRACES} traces")
    assert isinstance(document, Mapping)
    traces = [_trace(trace, HUES[number % len(HUES)]) for number, trace in enumerate(given)]
    own = document.get("layout")
    own = own if isinstance(own, Mapping) else {}
    axes = {f"{key}axis": _axis(own.get(f"{key}axis")) for key in "xy"}
    return {
        "data": traces,
        "layout": layout(**axes, showlegend=any(trace["name"] for trace in traces)),
    }


def overlaid(documents: Sequence[tuple[str, str, object]]) -> Figure:
    """Lines of several runs' figures in one chart: name, hue and figure of each run.

    Raises:
        ValueError: when one is no figure of lines.
    """
    data: list[dict[str, Any]] = []
    axes = layout()
    for name, hue, document in documents:
        figure = redrawn(document)
        axes = figure["layout"]
        for trace in figure["data"]:
            if trace["type"] != "scatter" or trace["mode"] == "markers":
                raise ValueError("it has no lines")
            label = f"{escaped(name)}: {trace['name']}" if trace["name"] else escaped(name)
            data.append(trace | {"name": label, "line": {"color": hue}, "marker": {"color": hue}})
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    return {"data": data, "layout": axes | {"showlegend": True, "legend": legend}}


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """A number as text, its share of the row in percent where rows are counts, and its shade from
    0 to 8.
    """

    text: str
    share: str
    shade: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix with the names of its axes, columns and rows."""

    across: str
    down: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[MatrixCell, ...]], ...]
    cut: bool


def matrix_of(document: object) -> Matrix | None:
    """The matrix of a figure that is one heatmap, as a confusion matrix is: its numbers read
    better than its colours. None for any other figure.

    Raises:
        ValueError: when its data are no matrix.
    """
    given = document.get("data") if isinstance(document, Mapping) else None
    trace = given[0] if isinstance(given, list) and len(given) == 1 else None
    if not isinstance(trace, Mapping) or trace.get("type") != "heatmap":
        return None
    found = _unpacked(trace.get("z"))
    if not isinstance(found, list):
        raise ValueError("z is no matrix")
    cells = [_values(row, _short)[:MOST_CELLS] for row in found[:MOST_CELLS]]
    widest = max((len(row) for row in found if isinstance(row, list)), default=0)
    across, downwards = (
        [_cell(name) for name in _values(trace[key], _short)] if trace.get(key) is not None else
        [str(number) for number in range(MOST_CELLS)]
        for key in ("x", "y")
    )  # fmt: skip
    shaded = zip(downwards, _shaded(cells), strict=False)
    own = document.get("layout") if isinstance(document, Mapping) else None
    own = own if isinstance(own, Mapping) else {}
    return Matrix(
        across=_title(own.get("xaxis")),
        down=_title(own.get("yaxis")),
        columns=tuple(across[: min(widest, MOST_CELLS)]),
        rows=tuple(shaded),
        cut=max(widest, len(found)) > MOST_CELLS,
    )


def _shaded(cells: Sequence[Sequence[Any]]) -> list[tuple[MatrixCell, ...]]:
    """Counts by their share of the row, other numbers by their share of the largest."""
    numbers = [cell for row in cells for cell in row if isinstance(cell, int | float)]
    counts = all(number >= 0 and number == int(number) for number in numbers)
    largest = max(map(abs, numbers), default=0)
    rows = []
    for row in cells:
        whole = sum(cell for cell in row if isinstance(cell, int | float)) if counts else largest
        rows.append(tuple(_matrix_cell(cell, whole, counts) for cell in row))
    return rows


def _matrix_cell(cell: Any, whole: float, counts: bool) -> MatrixCell:
    share = abs(cell) / whole if isinstance(cell, int | float) and whole else 0.0
    words = f"{100 * share:.0f} %" if counts and share else ""
    return MatrixCell(_cell(cell), words, min(SHADES, math.ceil(share * SHADES)))


def _trace(trace: object, colour: str) -> dict[str, Any]:
    if not isinstance(trace, Mapping):
        raise ValueError("a trace is no mapping")
    kind = _TYPES.get(str(trace.get("type", "scatter")))
    if kind is None:
        raise ValueError(f"charts of the type {trace.get('type')!r:.40} are not drawn here")
    drawn: dict[str, Any] = {"type": kind, "name": _text(trace.get("name", ""))}
    for key in "xy":
        if trace.get(key) is not None:
            drawn[key] = _values(trace[key])
    if "y" not in drawn:
        raise ValueError("a trace has no y")
    drawn.setdefault("x", list(range(len(drawn["y"]))))
    if kind == "bar":
        return drawn | {"marker": {"color": colour}}
    mode = trace.get("mode")
    drawn["mode"] = mode if mode in _MODES else "lines"
    return drawn | {"line": {"color": colour}, "marker": {"color": colour}}


def _title(given: object) -> str:
    """Title of an axis, as plain text."""
    title = given.get("title", "") if isinstance(given, Mapping) else ""
    title = title.get("text", "") if isinstance(title, Mapping) else title
    return _short(title)


def _axis(given: object) -> dict[str, Any]:
    kind = given.get("type") if isinstance(given, Mapping) else None
    return axis(escaped(_title(given)), **({"type": "log"} if kind == "log" else {}))


def _values(given: object, write: Callable[[object], str] | None = None) -> list[Any]:
    """Numbers, and texts as `write` makes them: by default escaped for a chart."""
    values = _unpacked(given)
    if not isinstance(values, list) or len(values) > MOST_POINTS:
        raise ValueError(f"expected lists of at most {MOST_POINTS:,} values")
    return [_value(value, write or _text) for value in values]


def _value(given: object, write: Callable[[object], str]) -> Any:
    if isinstance(given, bool) or given is None:
        return None if given is None else int(given)
    if isinstance(given, int | float):
        return given if abs(given) < 1e300 and math.isfinite(given) else None
    return write(given)


def _text(given: object) -> str:
    return escaped(_short(given))


def _short(given: object) -> str:
    return given[:MOST_TEXT] if isinstance(given, str) else ""


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _unpacked(given: object) -> object:
    """Lists from what plotly.py packs arrays of numbers into."""
    if not isinstance(given, Mapping):
        return given
    kind, packed, shape = given.get("dtype"), given.get("bdata"), given.get("shape")
    if kind not in _NUMBERS or not isinstance(packed, str):
        raise ValueError("an array is packed in an unknown way")
    try:
        numbers = np.frombuffer(base64.b64decode(packed, validate=True), dtype=f"<{kind}")
        if isinstance(shape, str):
            numbers = numbers.reshape([int(part) for part in shape.split(",")])
    except (binascii.Error, ValueError) as error:
        raise ValueError("an array is not whole") from error
    return numbers.tolist()
