"""Parallel coordinates: a line for each trial across its hyperparameters, drawn as SVG."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
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
LONGEST_LINE = 11  # characters of an upright's name in a panel
_SMALL = {"tickangle": 0, "tickfont": {"size": 11}, "ticklabeloverflow": "allow"}
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
            shifted = max(value + self.shift, self.low * 1e-6, math.ulp(0.0))
            first = math.log(self.low)  # a ratio of the ends may be no float
            return (math.log(shifted) - first) / (math.log(self.high) - first)
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
    `score`: field of the scores in the table, and the range of them that it shows. `runs`: ids of
    the trials, which the pointer then finds. `groups`: hue and members [N] of each, by its name;
    they stand out in place of the best tenth.
    """

    coordinates: Sequence[Coordinate]
    scores: NDArray[np.float64] = field(repr=False)
    metric: str
    maximize: bool
    score: tuple[str, tuple[float, float]] | None = None
    runs: Sequence[int] = field(default=(), repr=False)
    groups: Mapping[str, tuple[str, NDArray[np.bool_]]] = field(default_factory=dict, repr=False)

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
        parts = [
            _Part(outside, LINE, 0.8, 0.25, "outside the filter"),
            *(_of_groups(order, self.groups) if self.groups else _by_rank(order)),
        ]
        edge = 0.42 if self.runs else 0.25  # room for the first and the last name
        return {
            "data": [_bundle(uprights, part, self.runs) for part in parts if part.trials.size],
            "layout": layout(
                showlegend=True,
                legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
                hovermode="closest" if self.runs else False,
                hoverdistance=80,  # values stand on the uprights alone
                margin={"l": 40, "r": 40, "t": 64, "b": 44},
                xaxis=axis(
                    "",
                    tickvals=list(range(len(uprights))),
                    ticktext=[
                        _wrapped(upright.name)
                        if self.runs
                        else escaped(shortened(upright.name, 18 if len(uprights) > 5 else 24))
                        for upright in uprights
                    ],
                    range=[-edge, len(uprights) - 1 + edge],
                    **(_SMALL if self.runs else {}),
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


@dataclass(frozen=True, slots=True)
class _Part:
    """Trials of one look, by their positions."""

    trials: NDArray[np.int64]
    colour: str
    width: float
    opacity: float
    name: str


def _by_rank(order: NDArray[np.int64]) -> list[_Part]:
    """The best tenth above the upper half above the rest; `order` begins with the best."""
    top = max(1, math.ceil(0.1 * order.size)) if order.size else 0
    half = max(top, order.size // 2)
    return [
        _Part(order[half:], LINE, 1.0, 0.5, "lower half"),
        _Part(order[top:half], INK_3, 1.1, 0.65, "upper half"),
        _Part(order[:top], ACCENT, 2.0, 0.95, "best tenth"),
    ]


def _of_groups(
    order: NDArray[np.int64], groups: Mapping[str, tuple[str, NDArray[np.bool_]]]
) -> list[_Part]:
    return [
        _Part(order[members[order]], hue, 1.4, 0.75, escaped(shortened(name)))
        for name, (hue, members) in groups.items()
    ]


def _bundle(
    uprights: Sequence[Coordinate], part: _Part, runs: Sequence[int] = ()
) -> dict[str, Any]:
    """Many trials as one trace, a gap after each."""
    trials = part.trials
    heights = np.vstack([upright.positions[trials] for upright in uprights] + [trials * np.nan])
    places = np.tile(np.arange(len(uprights) + 1, dtype=np.float64), trials.size)
    meta = {"meta": {"trials": [runs[int(place)] for place in trials]}} if runs else {}
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plain(places),
        "y": plain(np.round(heights.T.ravel(), 4)),  # finer than a pixel
        "line": {"color": part.colour, "width": part.width},
        "opacity": part.opacity,
        "name": part.name,
        "hoverinfo": "none" if runs else "skip",
        **meta,
    }


def _wrapped(name: str) -> str:
    """A name over several lines, broken where its words end: panels are narrow."""
    lines = [""]
    for word in re.findall(r"[^_/. ]*[_/. ]?", shortened(name, 30)):
        if lines[-1] and len(lines[-1]) + len(word) > LONGEST_LINE:
            lines.append("")
        lines[-1] += word
    return "<br>".join(escaped(line) for line in lines)


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
