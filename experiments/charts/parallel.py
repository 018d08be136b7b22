"""Parallel coordinates: a line for each trial across its hyperparameters, drawn as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True)
class Coordinate:
    """One upright of the parallel plot: positions [N] in 0..1, NaN where a trial lacks it."""

    name: str
    positions: NDArray[np.float64] = field(repr=False)
    low: str = ""
    high: str = ""


def parallel_plot(
    coordinates: Sequence[Coordinate],
    scores: NDArray[np.float64],
    *,
    metric: str,
    maximize: bool,
) -> Figure:
    """One line a trial across its hyperparameters; the best tenth stands out. Drawn as SVG.

    `scores` [N]; infeasible trials (NaN) are left out, and so are the worst beyond `MOST_LINES`.
    """
    order = leading(scores, maximize=maximize)
    finite = scores[order]
    low, high = (float(finite.min()), float(finite.max())) if order.size else (0.0, 1.0)
    position = (scores - low) / (high - low) if high > low else np.full(scores.size, 0.5)
    uprights = [*coordinates, Coordinate(metric, position, f"{low:.4g}", f"{high:.4g}")]
    top = max(1, math.ceil(0.1 * order.size)) if order.size else 0
    half = max(top, order.size // 2)
    parts = (
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
        ),
    }


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
