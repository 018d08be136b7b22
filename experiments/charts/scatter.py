"""Scatter plots: a point a run, in the plane of two of its values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from experiments.charts.text_alternative import span_words, text_alternative
from experiments.charts.theme import (
    INK_3,
    Figure,
    axis,
    escaped,
    layout,
    log_axis,
    plain,
    shortened,
)

DECADES = 2  # from the least to the largest of positive values: an axis is logarithmic from there


@dataclass(frozen=True, slots=True)
class Measure:
    """Values [N] of runs along an axis, None where a run has none that can be placed. `words` are
    texts, `moments` times as ISO 8601 in UTC.
    """

    title: str
    values: Sequence[float | str | None] = field(repr=False)
    kind: Literal["numbers", "words", "moments"] = "numbers"

    @property
    def numbers(self) -> list[float]:
        """The numbers among the values."""
        return [value for value in self.values if isinstance(value, int | float)]

    @property
    def log(self) -> bool:
        """Test whether the values want a logarithmic axis: positive and decades apart."""
        found = self.numbers if self.kind == "numbers" else []
        if len(found) < 2 or min(found) <= 0:
            return False
        return math.log10(max(found)) - math.log10(min(found)) >= DECADES

    def axis(self) -> dict[str, Any]:
        title = escaped(shortened(self.title, 44))
        if self.log:
            return log_axis(f"{title} (log)", min(self.numbers), max(self.numbers))
        if self.kind == "moments":
            return axis(title, type="date")
        if self.kind == "words":
            words = sorted({str(value) for value in self.values if value is not None})
            return axis(
                title,
                type="category",
                categoryorder="array",
                categoryarray=[escaped(shortened(word)) for word in words],
            )
        return axis(title)

    def place(self, index: int) -> float | str | None:
        """A value as the figure holds it."""
        value = self.values[index]
        if isinstance(value, str):
            return value if self.kind == "moments" else escaped(shortened(value))
        return plain([math.nan if value is None else value])[0]


@dataclass(frozen=True, slots=True)
class Marks:
    """Points of one look: their `places` among the runs, one hue or one of each; `quiet` ones
    stand behind.
    """

    name: str
    places: Sequence[int] = field(repr=False)
    hues: str | Sequence[str] = INK_3
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class ScatterPlot:
    """Points of `runs` [N], named by their ids; those without both values are left out."""

    across: Measure
    upwards: Measure
    runs: Sequence[int] = field(repr=False)
    marks: Sequence[Marks]

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        drawn = [(mark, _placed(self.across, self.upwards, mark)) for mark in self.marks]
        return {
            "data": [
                _trace(self.across, self.upwards, self.runs, mark, places)
                for mark, places in drawn
                if places
            ],
            "layout": layout(
                showlegend=any(
                    isinstance(mark.hues, str) and not mark.quiet and mark.places
                    for mark in self.marks
                )
                and len(self.marks) > 1,
                legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
                hoverdistance=30,
                margin={"l": 60, "r": 14, "t": 24, "b": 46},
                xaxis=self.across.axis(),
                yaxis=self.upwards.axis(),
                meta={"titles": [self.across.title, self.upwards.title]},
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        traces = []
        for mark in self.marks:
            values = [self.upwards.values[i] for i in _placed(self.across, self.upwards, mark)]
            numbers = [value for value in values if isinstance(value, int | float)]
            if values:
                count = f"{mark.name}: {len(values)} points"
                traces.append(span_words(mark.name, numbers) if numbers else count)
        return text_alternative(self.across.title, self.upwards.title, traces)


def _placed(across: Measure, upwards: Measure, mark: Marks) -> list[int]:
    return [
        place
        for place in mark.places
        if across.values[place] is not None and upwards.values[place] is not None
    ]


def _trace(
    across: Measure, upwards: Measure, runs: Sequence[int], mark: Marks, places: Sequence[int]
) -> dict[str, Any]:
    hues: Any = mark.hues
    if not isinstance(hues, str):
        by_place = dict(zip(mark.places, hues, strict=True))
        hues = [by_place[place] for place in places]
    few = len(places) < 200
    return {
        "type": "scatter",
        "mode": "markers",
        "name": escaped(shortened(mark.name)),
        "x": [across.place(place) for place in places],
        "y": [upwards.place(place) for place in places],
        "marker": {
            "color": hues,
            "size": 7 if mark.quiet else 9,
            "opacity": (0.55 if few else 0.35) if mark.quiet else (0.9 if few else 0.6),
        },
        "meta": {"trials": [runs[place] for place in places]},
        "hoverinfo": "none",
    }
