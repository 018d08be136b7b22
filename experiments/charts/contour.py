"""Contours: the mean score around each place of the plane of two hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.charts.axes import frame
from experiments.charts.text_alternative import colour_words, failure_words, text_alternative
from experiments.charts.theme import (
    ACCENT,
    BAD,
    INK,
    SURFACE,
    Figure,
    axis,
    escaped,
    layout,
    nice_ticks,
    plain,
)
from experiments.charts.thinning import leading_and_even

MOST_DOTS = 300
MOST_CROSSES = 80


@dataclass(frozen=True, slots=True)
class Ticks:
    """Labels of a hyperparameter's axis and their positions 0..1."""

    title: str
    positions: Sequence[float]
    labels: Sequence[str]


@dataclass(frozen=True, slots=True)
class Plane:
    """Trials [N] in the plane of two hyperparameters.

    x, y: positions 0..1 in the ranges. scores: NaN for infeasible trials. surface [C, C]: the
    smoothed score by row of y, NaN where no trial is near.
    """

    x: NDArray[np.float64] = field(repr=False)
    y: NDArray[np.float64] = field(repr=False)
    scores: NDArray[np.float64] = field(repr=False)
    names: Sequence[str] = field(repr=False)
    surface: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ContourPlot:
    """The surface in shades of one hue, the stronger the better, and the trials over it."""

    plane: Plane
    across: Ticks
    up: Ticks
    metric: str
    maximize: bool

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        placed = np.isfinite(self.plane.x) & np.isfinite(self.plane.y)
        feasible = placed & np.isfinite(self.plane.scores)
        low, high = self._shades()
        return {
            "data": [
                _surface(self.plane.surface, low, high, self.maximize),
                *_trials(self.plane, feasible, placed & ~feasible, self.metric, self.maximize),
            ],
            "layout": layout(
                xaxis=_axis(self.across),
                yaxis=_axis(self.up),
                margin={"l": 60, "r": 14, "t": 10, "b": 50},
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        low, high = self._shades()
        surface = colour_words(np.clip(self.plane.surface, low, high))
        failed = failure_words(int((~np.isfinite(self.plane.scores)).sum()))
        return text_alternative(self.across.title, self.up.title, [surface or failed])

    def _shades(self) -> tuple[float, float]:
        placed = np.isfinite(self.plane.x) & np.isfinite(self.plane.y)
        feasible = placed & np.isfinite(self.plane.scores)
        return _shades(self.plane.surface, self.plane.scores[feasible], self.maximize)


def _shades(
    surface: NDArray[np.float64], scores: NDArray[np.float64], maximize: bool
) -> tuple[float, float]:
    """The scores of the faintest and of the strongest shade: very bad places share one."""
    finite = surface[np.isfinite(surface)]
    if not finite.size:
        return 0.0, 1.0
    low, high = frame(scores, maximize=maximize)
    low, high = max(low, float(finite.min())), min(high, float(finite.max()))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _surface(
    surface: NDArray[np.float64], low: float, high: float, maximize: bool
) -> dict[str, Any]:
    cells = surface.shape[0]
    places = [round(i / (cells - 1), 4) for i in range(cells)]
    levels, _ = nice_ticks(low, high, about=8)
    size = levels[1] - levels[0] if len(levels) > 1 else (high - low) / 8
    # Places as text: the script that puts in the page's colours leaves rows of numbers alone.
    faint, strong = (SURFACE, ACCENT) if maximize else (ACCENT, SURFACE)
    scale = [["0", faint], ["1", strong]]
    return {
        "type": "contour",
        "x": places,
        "y": places,
        "z": [plain(row) for row in np.clip(surface, low, high)],
        "connectgaps": False,
        "autocontour": False,
        "contours": {
            "start": levels[0] if levels else low,
            "end": levels[-1] if levels else high,
            "size": size,
            "coloring": "fill",
            "showlabels": True,
            "labelfont": {"size": 11.5, "color": INK},
            "labelformat": ".4~g",
        },
        "line": {"width": 0.6, "color": SURFACE},
        "colorscale": scale,
        "zmin": low,
        "zmax": high,
        "opacity": 0.75,
        # The levels are written on their lines: a colour bar would take the page's width, and
        # sets style attributes, which the page forbids.
        "showscale": False,
        "hoverinfo": "skip",
    }


def _trials(
    plane: Plane,
    feasible: NDArray[np.bool_],
    failed: NDArray[np.bool_],
    metric: str,
    maximize: bool,
) -> list[dict[str, Any]]:
    trained, lost = np.flatnonzero(feasible), np.flatnonzero(failed)
    trained = trained[leading_and_even(plane.scores[trained], MOST_DOTS, maximize=maximize)]
    lost = lost[:: max(1, -(-lost.size // MOST_CROSSES))]
    data = []
    if lost.size:
        cross = {"symbol": "x", "size": 7, "color": BAD, "opacity": 0.7}
        data.append(_marks(plane, lost, cross, "failed"))
    if trained.size:
        dot = {"size": 5, "color": INK, "opacity": 0.45}
        data.append(_marks(plane, trained, dot, f"{escaped(metric)} %{{customdata[1]}}"))
        top = int(
            np.argmax(plane.scores[trained]) if maximize else np.argmin(plane.scores[trained])
        )
        star = {
            "size": 14,
            "symbol": "diamond",
            "color": ACCENT,
            "line": {"color": SURFACE, "width": 2},
        }
        data.append(
            _marks(plane, trained[[top]], star, f"best {escaped(metric)} %{{customdata[1]}}")
        )
    return data


def _marks(
    plane: Plane, where: NDArray[np.int64], marker: dict[str, Any], words: str
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": plain(np.round(plane.x[where], 4)),
        "y": plain(np.round(plane.y[where], 4)),
        "customdata": [[plane.names[int(i)], f"{plane.scores[i]:.4g}"] for i in where],
        "marker": marker,
        "hovertemplate": f"trial %{{customdata[0]}}<br>{words}<extra></extra>",
    }


def _axis(ticks: Ticks) -> dict[str, Any]:
    return axis(
        escaped(ticks.title),
        tickvals=[round(position, 5) for position in ticks.positions],
        ticktext=[escaped(label) for label in ticks.labels],
        range=[-0.02, 1.02],
        showgrid=False,
    )
