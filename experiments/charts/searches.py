"""Figures of a whole search: arms against each other, its history, parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.charts.axes import frame
from experiments.charts.theme import (
    ACCENT,
    HUES,
    INK,
    INK_2,
    INK_3,
    LINE,
    SURFACE,
    Figure,
    annotation,
    axis,
    escaped,
    layout,
    plain,
    shortened,
)

MOST_LINES = 300
MOST_DOTS = 1500
GOLDEN = (math.sqrt(5) - 1) / 2  # its multiples fill an interval evenly


@dataclass(frozen=True, slots=True)
class ArmScores:
    """Scores [N] of one arm's complete trials and their names."""

    label: str
    scores: NDArray[np.float64] = field(repr=False)
    names: Sequence[str] = field(repr=False)


def isolation_plot(arms: Sequence[ArmScores], *, metric: str, maximize: bool) -> Figure:
    """Each arm with its nuisance hyperparameters tuned away: every trial, and the best one.

    Source: Tuning Playbook, "Extracting insight from experimental results" (isolation plots).
    """
    data: list[dict[str, Any]] = []
    for place, arm in enumerate(arms):
        hue = HUES[place % len(HUES)]
        spread = [place + 0.44 * ((i * GOLDEN) % 1 - 0.5) for i in range(arm.scores.size)]
        data.append(
            _dots(
                spread, arm.scores, arm.names, metric, {"color": hue, "size": 7, "opacity": 0.45}
            )
        )
        if arm.scores.size:
            best = int(np.argmax(arm.scores) if maximize else np.argmin(arm.scores))
            marker = {
                "color": hue,
                "size": 14,
                "symbol": "diamond",
                "line": {"color": SURFACE, "width": 2},
            }
            data.append(
                _dots([place], arm.scores[[best]], [arm.names[best]], f"best {metric}", marker)
            )
    every = np.concatenate([arm.scores for arm in arms]) if arms else np.empty(0)
    ticks = [f"{escaped(shortened(arm.label, 22))}<br>{arm.scores.size} trials" for arm in arms]
    return {
        "data": data,
        "layout": layout(
            xaxis=axis(
                "",
                tickvals=list(range(len(arms))),
                ticktext=ticks,
                range=[-0.6, len(arms) - 0.4],
                tickangle=0 if len(arms) < 5 else 30,
                showgrid=False,
            ),
            yaxis=axis(escaped(metric), range=list(frame(every, maximize=maximize))),
            margin={"l": 60, "r": 14, "t": 10, "b": 56},
        ),
    }


def _dots(
    x: Sequence[float],
    y: NDArray[np.float64],
    names: Sequence[str],
    metric: str,
    marker: dict[str, Any],
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": plain(np.asarray(x, dtype=np.float64)),
        "y": plain(y),
        "customdata": list(names),
        "marker": marker,
        "hovertemplate": f"trial %{{customdata}}<br>{escaped(metric)} %{{y:.4g}}<extra></extra>",
    }


def history_plot(
    scores: NDArray[np.float64], names: Sequence[str], *, metric: str, maximize: bool
) -> Figure:
    """Scores [N] in the order the trials were numbered, and the best so far."""
    order = np.arange(1, scores.size + 1)
    filled = np.where(np.isfinite(scores), scores, -np.inf if maximize else np.inf)
    best = np.maximum.accumulate(filled) if maximize else np.minimum.accumulate(filled)
    # The line bends only where the best improves; of many dots an even draw is enough.
    shown = np.unique(np.linspace(0, scores.size - 1, min(scores.size, MOST_DOTS)).astype(int))
    bends = np.union1d(np.flatnonzero(np.diff(best, prepend=np.nan) != 0), [scores.size - 1])
    quiet = {"color": INK_3, "size": 6, "opacity": 0.6}
    dots = _dots(
        order[shown].tolist(), scores[shown], [names[int(i)] for i in shown], metric, quiet
    )
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": order[bends].tolist(),
        "y": plain(best[bends]),
        "line": {"color": ACCENT, "width": 2.2, "shape": "hv"},
        "hovertemplate": "best so far %{y:.4g}<extra></extra>",
    }
    finite = scores[np.isfinite(scores)]
    return {
        "data": [dots, line],
        "layout": layout(
            xaxis=axis("trials, in the order they were started"),
            yaxis=axis(escaped(metric), range=list(frame(finite, maximize=maximize))),
        ),
    }


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
    feasible = np.flatnonzero(np.isfinite(scores))
    order = feasible[np.argsort(-scores[feasible] if maximize else scores[feasible])][:MOST_LINES]
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
                ticktext=[escaped(shortened(each.name, 18)) for each in uprights],
                range=[-0.25, len(uprights) - 0.75],
                gridcolor=LINE,
                side="bottom",
            ),
            yaxis=axis("", showgrid=False, showticklabels=False, range=[-0.14, 1.14]),
            annotations=_ends(uprights),
        ),
    }


def _bundle(
    uprights: Sequence[Coordinate],
    trials: NDArray[np.int64],
    colour: str,
    width: float,
    opacity: float,
    name: str,
) -> dict[str, Any]:
    """Many trials as one trace, a gap after each."""
    heights = np.vstack([each.positions[trials] for each in uprights] + [trials * np.nan])
    places = np.tile(np.arange(len(uprights) + 1, dtype=np.float64), trials.size)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plain(places),
        "y": plain(heights.T.ravel()),
        "line": {"color": colour, "width": width},
        "opacity": opacity,
        "name": name,
        "hoverinfo": "skip",
    }


def _ends(uprights: Sequence[Coordinate]) -> list[dict[str, Any]]:
    words = []
    for place, each in enumerate(uprights):
        for text, y, side in ((each.high, 1.04, "bottom"), (each.low, -0.04, "top")):
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
