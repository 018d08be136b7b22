"""Small frames side by side in one figure, on the same scales: one for each arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.charts.theme import INK_2, Figure, escaped

_GAP_X, _GAP_Y = 0.04, 0.11  # of the figure; the second holds the frame's title
_ONE_COLUMN = 3  # so many frames stand below one another, more in columns


@dataclass(frozen=True, slots=True)
class Facet:
    """The place of one frame, from 0 at the top left; shares are of the whole figure."""

    number: int
    x: tuple[float, float]
    y: tuple[float, float]
    at_bottom: bool
    at_left: bool

    @property
    def axes(self) -> dict[str, str]:
        """Axes that a trace or an annotation names to lie in it."""
        tail = "" if self.number == 0 else str(self.number + 1)
        return {"xaxis": f"x{tail}", "yaxis": f"y{tail}"}


def facets(count: int) -> tuple[Facet, ...]:
    """Places of `count` frames: below one another up to three, then in two or three columns."""
    columns = 1 if count <= _ONE_COLUMN else 2 if count <= 8 else 3
    rows = -(-count // columns)
    width = (1 - _GAP_X * (columns - 1)) / columns
    height = (1 - _GAP_Y * rows) / rows
    found = []
    for number in range(count):
        row, column = divmod(number, columns)
        left = column * (width + _GAP_X)
        top = 1 - row * (height + _GAP_Y) - _GAP_Y
        found.append(
            Facet(
                number,
                (left, min(left + width, 1.0)),
                (max(top - height, 0.0), top),
                at_bottom=number + columns >= count,
                at_left=column == 0,
            )
        )
    return tuple(found)


def framed(
    place: Facet, title: str, x_axis: dict[str, Any], y_axis: dict[str, Any]
) -> tuple[Figure, dict[str, Any]]:
    """A frame's two axes, as a layout names them, and its title as an annotation."""
    x_name, y_name = place.axes["xaxis"], place.axes["yaxis"]
    axes = {
        f"xaxis{x_name[1:]}": {
            **x_axis,
            "domain": list(place.x),
            "anchor": y_name,
            "showticklabels": place.at_bottom,
        },
        f"yaxis{y_name[1:]}": {
            **y_axis,
            "domain": list(place.y),
            "anchor": x_name,
            "showticklabels": place.at_left,
            "nticks": 4,
        },
    }
    annotation = {
        "text": escaped(title),
        "xref": f"{x_name} domain",
        "yref": f"{y_name} domain",
        "x": 0,
        "y": 1,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 12, "color": INK_2},
    }
    return axes, annotation
