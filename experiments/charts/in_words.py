"""A figure in words, for people who hear a page: what its axes are, and how far each line goes."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.charts.theme import Figure

MOST_TRACES = 8
MOST_PAIRS = 12  # of a category and its value that are listed one by one


def in_words(figure: Figure) -> str:
    """Axes, then each named trace: its points, the span of its values, the last one."""
    layout = figure.get("layout") or {}
    across, upwards = (_title(layout.get(key)) for key in ("xaxis", "yaxis"))
    # Where rows are named, their places upwards are no values.
    upright = not (layout.get("yaxis") or {}).get("ticktext")
    named = _named(layout.get("xaxis") or {}) | _named(layout.get("yaxis") or {})
    parts = []
    if across:
        parts.append(f"Across: {across}.")
    if upwards:
        parts.append(f"Upwards: {upwards}.")
    drawn = figure.get("data", ())
    surfaces = [words for trace in drawn if (words := _surface(trace))]
    lines = [words for trace in drawn if (words := _trace(trace, upright=upright, named=named))]
    traces = surfaces or lines  # points upon a surface say nothing that it does not
    parts += [f"{words}." for words in traces[:MOST_TRACES]]
    if len(traces) > MOST_TRACES:
        parts.append(f"And {len(traces) - MOST_TRACES} more.")
    return " ".join(parts)


def _surface(trace: Mapping[str, Any]) -> str:
    """The span of what a surface shows by colour."""
    rows = trace.get("z") or ()
    numbers = [value for row in rows for value in row if _is_number(value)]
    return f"By colour: from {min(numbers):.4g} to {max(numbers):.4g}" if numbers else ""


def _title(axis: Mapping[str, Any] | None) -> str:
    return _plain_text(((axis or {}).get("title") or {}).get("text", ""))


def _named(axis: Mapping[str, Any]) -> dict[Any, str]:
    """Values of an axis that stand for words; none where they are written as numbers."""
    words = axis.get("ticktext") or ()
    if all(_is_numeral(text) for text in words):
        return {}
    return dict(zip(axis.get("tickvals") or (), words, strict=False))


def _is_numeral(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain_text(text: str) -> str:
    """Without the tags and entities that Plotly reads."""
    return html.unescape(re.sub(r"<br ?/?>", ", ", text)).strip()


def _trace(trace: Mapping[str, Any], *, upright: bool, named: Mapping[Any, str]) -> str:
    """Empty for what only decorates: bands, outlines, and unnamed marks of a few points."""
    x, y = trace.get("x"), trace.get("y")
    if not x or not y or trace.get("hoverinfo") == "skip":
        return ""
    if (trace.get("marker") or {}).get("symbol") == "x":  # it stands at an edge, not at a score
        return f"{len(x)} failed"
    name = _plain_text(trace.get("name") or "")
    series = (trace.get("meta") or {}).get("series", "")
    if series and series not in name:
        name = f"{name} {series}".strip()
    categories, values = (y, x) if trace.get("orientation") == "h" else (x, y)
    if named and set(categories) <= set(named):
        categories = [named[category] for category in categories]
    if isinstance(categories[0], str) and len(categories) <= MOST_PAIRS:
        listed = ", ".join(
            f"{_plain_text(category)} {value:.4g}"
            for category, value in zip(categories, values, strict=False)
            if _is_number(value)
        )
        return f"{name}: {listed}" if name else listed
    numbers = [value for value in (y if upright else x) if _is_number(value)]
    if not numbers or (not name and len(numbers) < 3):
        return ""
    points = f"{len(numbers)} {'point' if len(numbers) == 1 else 'points'}, {_span(numbers)}"
    return f"{name or 'All'}: {points}"


def _span(numbers: Sequence[float]) -> str:
    low, high, last = min(numbers), max(numbers), numbers[-1]
    if len(numbers) == 1:
        return f"{last:.4g}"
    return f"from {low:.4g} to {high:.4g}, the last {last:.4g}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
