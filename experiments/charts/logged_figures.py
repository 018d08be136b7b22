"""Figures that programs logged, made anew from their numbers: of what they hold nothing else, no
markup, link, picture or address, reaches the page.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from experiments.charts.text_alternative import pairs_words, span_words, text_alternative
from experiments.charts.theme import ACCENT, HUES, Figure, axis, escaped, layout, plain

MOST_TRACES, MOST_POINTS, MOST_TEXT = 50, 20_000, 200
Value = float | str | None
MOST_CELLS, SHADES = 50, 8  # of a side of a matrix, of its cells
_TYPES = ("scatter", "scattergl", "bar")
_MODES = ("lines", "markers", "lines+markers")
_NUMBERS = {"f8", "f4", "i1", "i2", "i4", "u1", "u2", "u4"}  # as plotly.py packs arrays


@dataclass(frozen=True, slots=True)
class HistogramPlot:
    """Counts [B] between edges [B + 1]."""

    edges: Sequence[float] = field(repr=False)
    counts: Sequence[float] = field(repr=False)

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        ends = np.asarray(self.edges, dtype=float)
        bars = {
            "type": "bar",
            "x": plain((ends[:-1] + ends[1:]) / 2),
            "y": list(self.counts),
            "width": plain(np.maximum(np.diff(ends), 1e-12)),
            "marker": {"color": ACCENT},
            "hovertemplate": "%{x:.4g}: %{y}<extra></extra>",
        }
        return {"data": [bars], "layout": layout(xaxis=axis("value"), yaxis=axis("count"))}

    def words(self) -> str:
        """The chart's text alternative."""
        return text_alternative("value", "count", [span_words("", self.counts)])


@dataclass(frozen=True, slots=True)
class LoggedTrace:
    """A line, marks or bars: `x` and `y` [N] of numbers, None or texts. `hue` is its colour."""

    name: str
    mode: str  # of Plotly; "" for bars
    hue: str
    x: Sequence[Value] = field(repr=False)
    y: Sequence[Value] = field(repr=False)

    def drawn(self) -> dict[str, Any]:
        """As a trace of Plotly."""
        shared = {"name": escaped(self.name), "x": _labels(self.x), "y": _labels(self.y)}
        colour = {"color": self.hue}
        if not self.mode:
            return shared | {"type": "bar", "marker": colour}
        return shared | {"type": "scatter", "mode": self.mode, "line": colour, "marker": colour}

    def words(self) -> str:
        """Its values, one by one where few categories have them."""
        values = [y if isinstance(y, int | float) else math.nan for y in self.y]
        categories = [x for x in self.x if isinstance(x, str)]
        if categories and len(categories) == len(self.x) == len(values):
            return pairs_words(self.name, categories, values)
        return span_words(self.name, values)


@dataclass(frozen=True, slots=True)
class LoggedAxis:
    """An axis of a figure that a program logged."""

    title: str = ""
    log: bool = False

    def drawn(self) -> dict[str, Any]:
        """As an axis of Plotly."""
        return axis(escaped(self.title), **({"type": "log"} if self.log else {}))


@dataclass(frozen=True, slots=True)
class LoggedPlot:
    """A figure that a program logged: its numbers, axis titles and names, in this page's theme."""

    traces: Sequence[LoggedTrace] = field(repr=False)
    across: LoggedAxis = LoggedAxis()
    upwards: LoggedAxis = LoggedAxis()
    overlaid: bool = False  # with a legend in any case, above the lines

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        named = any(trace.name for trace in self.traces)
        legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
        return {
            "data": [trace.drawn() for trace in self.traces],
            "layout": layout(
                xaxis=self.across.drawn(),
                yaxis=self.upwards.drawn(),
                showlegend=self.overlaid or named,
                **({"legend": legend} if self.overlaid else {}),
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        traces = [trace.words() for trace in self.traces]
        return text_alternative(self.across.title, self.upwards.title, traces)


def logged_plot(document: object) -> LoggedPlot:
    """A Plotly figure [traces] read from its JSON.

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
    return LoggedPlot(traces, _axis(own.get("xaxis")), _axis(own.get("yaxis")))


def overlaid(documents: Sequence[tuple[str, str, object]]) -> LoggedPlot:
    """Lines of several runs' figures in one chart: name, hue and figure of each run.

    Raises:
        ValueError: when one is no figure of lines.
    """
    traces: list[LoggedTrace] = []
    plot = LoggedPlot(())
    for name, hue, document in documents:
        plot = logged_plot(document)
        for trace in plot.traces:
            if trace.mode in ("", "markers"):
                raise ValueError("it has no lines")
            label = f"{name}: {trace.name}" if trace.name else name
            traces.append(replace(trace, name=label, hue=hue))
    return replace(plot, traces=traces, overlaid=True)


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
    cells = [_values(row)[:MOST_CELLS] for row in found[:MOST_CELLS]]
    widest = max((len(row) for row in found if isinstance(row, list)), default=0)
    across, downwards = (
        [_cell(name) for name in _values(trace[key])] if trace.get(key) is not None else
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


def _shaded(cells: Sequence[Sequence[Value]]) -> list[tuple[MatrixCell, ...]]:
    """Counts by their share of the row, other numbers by their share of the largest."""
    numbers = [cell for row in cells for cell in row if isinstance(cell, int | float)]
    counts = all(number >= 0 and number == int(number) for number in numbers)
    largest = max(map(abs, numbers), default=0)
    rows = []
    for row in cells:
        whole = sum(cell for cell in row if isinstance(cell, int | float)) if counts else largest
        rows.append(tuple(_matrix_cell(cell, whole, counts) for cell in row))
    return rows


def _matrix_cell(cell: Value, whole: float, counts: bool) -> MatrixCell:
    share = abs(cell) / whole if isinstance(cell, int | float) and whole else 0.0
    words = f"{100 * share:.0f} %" if counts and share else ""
    return MatrixCell(_cell(cell), words, min(SHADES, math.ceil(share * SHADES)))


def _trace(trace: object, hue: str) -> LoggedTrace:
    if not isinstance(trace, Mapping):
        raise ValueError("a trace is no mapping")
    kind = trace.get("type", "scatter")
    if kind not in _TYPES:
        raise ValueError(f"charts of the type {kind!r:.40} are not drawn here")
    if trace.get("y") is None:
        raise ValueError("a trace has no y")
    y = _values(trace["y"])
    x = _values(trace["x"]) if trace.get("x") is not None else list(range(len(y)))
    mode = trace.get("mode")
    mode = mode if mode in _MODES else "lines"
    return LoggedTrace(_short(trace.get("name", "")), "" if kind == "bar" else mode, hue, x, y)


def _labels(values: Sequence[Value]) -> list[Value]:
    """Values with texts escaped for a chart."""
    return [escaped(value) if isinstance(value, str) else value for value in values]


def _title(given: object) -> str:
    """Title of an axis, as plain text."""
    title = given.get("title", "") if isinstance(given, Mapping) else ""
    title = title.get("text", "") if isinstance(title, Mapping) else title
    return _short(title)


def _axis(given: object) -> LoggedAxis:
    kind = given.get("type") if isinstance(given, Mapping) else None
    return LoggedAxis(_title(given), kind == "log")


def _values(given: object) -> list[Value]:
    """Numbers, None and short texts."""
    values = _unpacked(given)
    if not isinstance(values, list) or len(values) > MOST_POINTS:
        raise ValueError(f"expected lists of at most {MOST_POINTS:,} values")
    return [_value(value) for value in values]


def _value(given: object) -> Value:
    if isinstance(given, bool) or given is None:
        return None if given is None else int(given)
    if isinstance(given, int | float):
        return given if abs(given) < 1e300 and math.isfinite(given) else None
    return _short(given)


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
