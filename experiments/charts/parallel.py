"""Parallel coordinates: a line for each trial across its hyperparameters, drawn as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.charts.text_alternative import text_alternative
from experiments.charts.theme import (
    ACCENT,
    INK,
    INK_2,
    INK_3,
    LINE,
    Figure,
    annotation,
    axis,
    escaped,
    layout,
    plain,
    shortened,
)

MOST_LINES = 200
EVERYTHING = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Coordinate:
    """One upright of the parallel plot: positions [N] in 0..1, NaN where a trial lacks it."""

    name: str
    positions: NDArray[np.float64] = field(repr=False)
    low: str = ""
    high: str = ""
    scale: Scale | None = None
    chosen: tuple[float, float] | None = None  # positions between which lines stand out


@dataclass(frozen=True, slots=True)
class Scale:
    """Values along an upright, so that a stretch of it can be asked for: numbers from `low` to
    `high`, or `words` from below. `key` is the field of the table.
    """

    key: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    shift: float = 0.0  # added to a value before it is placed
    words: tuple[str, ...] = ()

    def position(self, value: float) -> float:
        """Place of a value, 0..1 between the ends and beyond them."""
        if self.log:
            shifted = max(value + self.shift, self.low * 1e-6)
            return math.log(shifted / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def stretch(self, low: float, high: float, words: Sequence[str]) -> tuple[float, float]:
        """Positions between which values from `low` to `high` lie, or some of the words."""
        if not self.words:
            ends = (
                max(0.0, self.position(low)) if math.isfinite(low) else 0.0,
                min(1.0, self.position(high)) if math.isfinite(high) else 1.0,
            )
            return ends
        places = [place for place, word in enumerate(self.words) if word in words]
        if not places:
            return 0.0, 0.0
        return min(places) / len(self.words), (max(places) + 1) / len(self.words)


@dataclass(frozen=True, slots=True)
class ParallelPlot:
    """One line a trial across its hyperparameters; the best tenth stands out. Drawn as SVG.

    `scores` [N]; infeasible trials (NaN) are left out, and so are the worst beyond `MOST_LINES`.
    `score`: field of the scores in the table, and the range of them that it shows.
    """

    coordinates: Sequence[Coordinate]
    scores: NDArray[np.float64] = field(repr=False)
    metric: str
    maximize: bool
    score: tuple[str, tuple[float, float]] | None = None

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        order = leading(self.scores, maximize=self.maximize)
        finite = self.scores[order]
        low, high = (float(finite.min()), float(finite.max())) if order.size else (0.0, 1.0)
        # Halves, as the difference of two large scores is no float.
        wide = (self.scores / 2 - low / 2) / (high / 2 - low / 2) if high > low else None
        position = np.full(self.scores.size, 0.5) if wide is None else wide
        last = Coordinate(self.metric, position, f"{low:.4g}", f"{high:.4g}")
        if self.score is not None and high > low:
            scale = Scale(self.score[0], low, high)
            chosen = None if self.score[1] == EVERYTHING else scale.stretch(*self.score[1], ())
            last = replace(last, scale=scale, chosen=chosen)
        uprights = [*self.coordinates, last]
        within = np.ones(self.scores.size, dtype=bool)
        for upright in uprights:
            if upright.chosen is not None:
                first, end = upright.chosen
                with np.errstate(invalid="ignore"):
                    within &= (upright.positions >= first - 1e-9) & (
                        upright.positions <= end + 1e-9
                    )
        outside, order = order[~within[order]], order[within[order]]
        top = max(1, math.ceil(0.1 * order.size)) if order.size else 0
        half = max(top, order.size // 2)
        parts = (
            (outside, LINE, 0.8, 0.25, "outside the filter"),
            (order[half:], LINE, 1.0, 0.5, "lower half"),
            (order[top:half], INK_3, 1.1, 0.65, "upper half"),
            (order[:top], ACCENT, 2.0, 0.95, "best tenth"),
        )
        return {
            "data": [_bundle(uprights, *part) for part in parts if part[0].size],
            "layout": layout(
                showlegend=True,
                legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
                hovermode=False,
                margin={"l": 40, "r": 40, "t": 64, "b": 44},
                xaxis=axis(
                    "",
                    tickvals=list(range(len(uprights))),
                    ticktext=[
                        escaped(shortened(upright.name, 18 if len(uprights) > 5 else 24))
                        for upright in uprights
                    ],
                    range=[-0.25, len(uprights) - 0.75],
                    gridcolor=LINE,
                    side="bottom",
                ),
                yaxis=axis("", showgrid=False, showticklabels=False, range=[-0.14, 1.14]),
                annotations=_ends(uprights),
                meta={"axes": [_scale_of(upright) for upright in uprights]},
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        names = ", ".join([*(upright.name for upright in self.coordinates), self.metric])
        count = leading(self.scores, maximize=self.maximize).size
        return text_alternative(names, "", [f"{count} trials, the best first"])


def leading(
    scores: NDArray[np.float64], *, maximize: bool, most: int = MOST_LINES
) -> NDArray[np.int64]:
    """Positions [M] of the trials that are drawn, the best first; `scores` [N] may be NaN."""
    feasible = np.flatnonzero(np.isfinite(scores))
    return feasible[np.argsort(-scores[feasible] if maximize else scores[feasible])][:most]


def _bundle(
    uprights: Sequence[Coordinate],
    trials: NDArray[np.int64],
    colour: str,
    width: float,
    opacity: float,
    name: str,
) -> dict[str, Any]:
    """Many trials as one trace, a gap after each."""
    heights = np.vstack([upright.positions[trials] for upright in uprights] + [trials * np.nan])
    places = np.tile(np.arange(len(uprights) + 1, dtype=np.float64), trials.size)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plain(places),
        "y": plain(np.round(heights.T.ravel(), 4)),  # finer than a pixel
        "line": {"color": colour, "width": width},
        "opacity": opacity,
        "name": name,
        "hoverinfo": "skip",
    }


def _scale_of(upright: Coordinate) -> dict[str, Any] | None:
    """An upright as the script that brushes it reads it; None for one that cannot be brushed."""
    if upright.scale is None:
        return None
    scale = {name: getattr(upright.scale, name) for name in ("key", "low", "high", "log", "shift")}
    return scale | {
        "name": upright.name,
        "words": list(upright.scale.words),
        "chosen": None if upright.chosen is None else list(upright.chosen),
    }


def _ends(uprights: Sequence[Coordinate]) -> list[dict[str, Any]]:
    words = []
    for place, upright in enumerate(uprights):
        for text, y, side in ((upright.high, 1.04, "bottom"), (upright.low, -0.04, "top")):
            words.append(
                annotation(
                    escaped(shortened(text, 14)),
                    x=place,
                    y=y,
                    yanchor=side,
                    font={"size": 11, "color": INK if place == len(uprights) - 1 else INK_2},
                )
            )
    return words
