"""Bars: one value of each run, or the mean of each group with its standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.charts.text_alternative import pairs_words, text_alternative
from experiments.charts.theme import (
    ACCENT,
    INK,
    INK_2,
    Figure,
    axis,
    escaped,
    layout,
    plain,
    shortened,
)

ROOM = 1.18  # of the longest bar: the value is written beside it


@dataclass(frozen=True, slots=True)
class Bar:
    """A run (`trial`, its id) or a group; `text` is its value in words."""

    name: str
    value: float
    text: str
    hue: str = ACCENT
    trial: int | None = None
    deviation: float | None = None


@dataclass(frozen=True, slots=True)
class BarChart:
    """Bars from above in the order given, all beginning at zero."""

    bars: Sequence[Bar]
    title: str

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        places = list(range(len(self.bars)))
        spreads = [bar.deviation or 0.0 for bar in self.bars]
        ends = [bar.value + spread for bar, spread in zip(self.bars, spreads, strict=True)]
        starts = [bar.value - spread for bar, spread in zip(self.bars, spreads, strict=True)]
        low, high = ROOM * min(0.0, *starts), ROOM * max(0.0, *ends)
        trace = {
            "type": "bar",
            "orientation": "h",
            "x": plain([bar.value for bar in self.bars]),
            "y": places,
            "text": [f" {bar.text} " for bar in self.bars],
            "textposition": "none" if any(spreads) else "outside",
            "textfont": {"size": 11, "color": INK},
            "cliponaxis": False,
            "marker": {"color": [bar.hue for bar in self.bars]},
            "meta": {
                "trials": [bar.trial for bar in self.bars],
                "names": [bar.name for bar in self.bars],
                "texts": [bar.text for bar in self.bars],
            },
            "hoverinfo": "none",
        }
        if any(spreads):
            trace["error_x"] = {
                "type": "data",
                "array": plain(spreads),
                "color": INK_2,
                "thickness": 1.4,
                "width": 4,
            }
        return {
            "data": [trace],
            "layout": layout(
                bargap=0.28,
                hoverdistance=30,
                xaxis=axis(escaped(shortened(self.title, 44)), range=plain([low, high or 1.0])),
                # Numbers with labels: two long names that look alike when cut stay two bars.
                yaxis=axis(
                    "",
                    showgrid=False,
                    autorange="reversed",
                    tickvals=places,
                    ticktext=[_label(bar, spread=any(spreads)) for bar in self.bars],
                    tickfont={"size": 11},
                    ticklabelstandoff=6,
                ),
                margin={"l": 60, "r": 14, "t": 24, "b": 40},
                meta={"titles": ["", self.title]},
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        names = [shortened(bar.name, 24) for bar in self.bars]
        values = [bar.value for bar in self.bars]
        return text_alternative(self.title, "", [pairs_words("", names, values)])


def _label(bar: Bar, *, spread: bool) -> str:
    """Name of a bar; with its value where a whisker stands in the value's place."""
    name = escaped(shortened(bar.name, 24))
    return f"{name} \N{MIDDLE DOT} {bar.text}" if spread else name
