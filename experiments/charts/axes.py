"""Axis plots: every trial's score along one hyperparameter, infeasible trials marked.

Source: Tuning Playbook, "Identifying bad search space boundaries" (basic hyperparameter axis
plots).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.charts.facets import Facet, facets, framed
from experiments.charts.text_alternative import (
    failure_words,
    pairs_words,
    span_words,
    text_alternative,
)
from experiments.charts.theme import (
    BAD,
    HUES,
    WARN_BAND,
    Figure,
    annotation,
    axis,
    escaped,
    layout,
    log_axis,
    plain,
    shortened,
    text_of,
)
from experiments.charts.thinning import leading_and_even

MOST_DRAWN = 800
FAR = 4.0  # scores further below the median than this many times (best - median) leave the frame


@dataclass(frozen=True, slots=True)
class AxisPoints:
    """All trials along one hyperparameter.

    `values` and `scores` [N], scores NaN where a trial is infeasible; `names` [N] of the trials;
    `groups` [N] number of each trial's arm. `choices` for a set of values (then `values` are
    such), `band` the edge of the range that the best trials crowd, if any.
    """

    name: str
    values: Sequence[object]
    scores: NDArray[np.float64] = field(repr=False)
    names: Sequence[str] = field(repr=False)
    groups: NDArray[np.int64] = field(repr=False)
    group_labels: Sequence[str] = ()
    log: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[object, ...] | None = None
    band: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class AxisPlot:
    """The figure of one hyperparameter, each arm in a frame of its own on the same scales.

    At most `most` trials are drawn. Under another scientific value it is another hyperparameter:
    arms are never drawn into one (Tuning Playbook, "Identifying scientific, nuisance, and fixed
    hyperparameters").
    """

    points: AxisPoints
    metric: str
    maximize: bool
    most: int = MOST_DRAWN

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        scores = np.asarray(self.points.scores, dtype=np.float64)
        feasible = np.isfinite(scores)
        low, high = frame(scores[feasible], maximize=self.maximize)
        shown = leading_and_even(scores, self.most, maximize=self.maximize)
        groups = sorted(set(self.points.groups.tolist())) if self.points.group_labels else []
        if len(groups) < 2:
            data = _traces(self.points, scores, shown, (low, high), self.metric, self.maximize)
            y_axis = axis(escaped(self.metric), range=[low, high] if feasible.any() else None)
            return _figure(
                data, xaxis=_x_axis(self.points), yaxis=y_axis, shapes=_bands(self.points)
            )
        data = []
        axes: dict[str, Any] = {}
        titles, bands = [], []
        y_axis = axis("", range=[low, high] if feasible.any() else None)
        for place, group in zip(facets(len(groups)), groups, strict=True):
            inside = shown & (self.points.groups == group)
            traces = _traces(self.points, scores, inside, (low, high), self.metric, self.maximize)
            data += [{**trace, **place.axes} for trace in traces]
            frame_axes, title = framed(
                place, self.points.group_labels[group], _x_axis(self.points), y_axis
            )
            axes |= frame_axes
            titles.append(title)
            bands += _bands(self.points, place)
        titles.append(_upwards(self.metric))
        return _figure(data, **axes, annotations=titles, shapes=bands)

    def words(self) -> str:
        """The chart's text alternative."""
        points, scores = self.points, np.asarray(self.points.scores, dtype=np.float64)
        feasible = np.isfinite(scores)
        traces = []
        for group in sorted(set(points.groups[feasible].tolist())):
            where = np.flatnonzero(feasible & (points.groups == group))
            label = points.group_labels[group] if points.group_labels else ""
            if points.choices is None:
                traces.append(span_words(label, scores[where]))
            else:
                chosen = [text_of(points.values[int(i)]) for i in where]
                traces.append(pairs_words(label, chosen, scores[where]))
        return text_alternative("", self.metric, [*traces, failure_words(int((~feasible).sum()))])


def _upwards(metric: str) -> dict[str, Any]:
    """Title of the y axis of all frames, written once beside them."""
    return annotation(
        escaped(shortened(metric)),
        textangle=-90,
        xref="paper",
        yref="paper",
        x=0,
        y=0.5,
        xshift=-56,
        yanchor="middle",
    )


def _figure(data: list[dict[str, Any]], **more: Any) -> Figure:
    return {"data": data, "layout": layout(margin={"l": 66, "r": 12, "t": 8, "b": 40}, **more)}


def _traces(
    points: AxisPoints,
    scores: NDArray[np.float64],
    shown: NDArray[np.bool_],
    ends: tuple[float, float],
    metric: str,
    maximize: bool,
) -> list[dict[str, Any]]:
    """Dots of each arm among the shown trials, and crosses of their infeasible ones."""
    feasible = np.isfinite(scores)
    data: list[dict[str, Any]] = []
    for group in sorted(set(points.groups[feasible & shown].tolist())):
        chosen = feasible & shown & (points.groups == group)
        data += _dots(points, scores, chosen, group, ends, metric)
    failed = ~feasible & shown
    if failed.any():
        data.append(_failures(points, failed, *ends, maximize))
    return data


def frame(scores: NDArray[np.float64], *, maximize: bool) -> tuple[float, float]:
    """A range of scores that shows the good ones: very bad ones would squash them to a line."""
    if scores.size == 0:
        return 0.0, 1.0
    best = float(scores.max() if maximize else scores.min())
    worst = float(scores.min() if maximize else scores.max())
    with np.errstate(over="ignore"):  # objectives return the largest float for what failed
        median = float(np.median(scores))
    far = median - FAR * (best - median)
    edge = max(worst, far) if maximize else min(worst, far)
    if scores.size < 8 or edge == best:
        edge = worst
    pad = 0.07 * abs(best - edge) or 0.05 * abs(best) or 0.5
    low, high = (edge - pad, best + pad) if maximize else (best - pad, edge + pad)
    largest = sys.float_info.max
    return max(low, -largest), min(high, largest)


def _dots(
    points: AxisPoints,
    scores: NDArray[np.float64],
    chosen: NDArray[np.bool_],
    group: int,
    ends: tuple[float, float],
    metric: str,
) -> list[dict[str, Any]]:
    clipped = np.clip(scores, *ends)
    finite = scores[chosen]
    # A triangle that points to where the trial lies, outside the frame.
    beyond = "triangle-down-open" if finite.min() < ends[0] else "triangle-up-open"
    inside = chosen & (clipped == scores)
    hue = HUES[group % len(HUES)]
    opacity = 0.78 if int(chosen.sum()) < 200 else 0.45
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [_x(points, int(i)) for i in where],
            "y": plain(clipped[where]),
            "name": escaped(points.group_labels[group]) if points.group_labels else "",
            "customdata": [[points.names[int(i)], f"{scores[i]:.4g}"] for i in where],
            # One look for the whole trace: an entry a point would take far longer to draw.
            "marker": {"size": size, "symbol": symbol, "color": hue, "opacity": opacity},
            "hovertemplate": f"trial %{{customdata[0]}}<br>{escaped(points.name)} %{{x}}"
            f"<br>{escaped(metric)} %{{customdata[1]}}<extra></extra>",
        }
        for where, size, symbol in (
            (np.flatnonzero(inside), 8, "circle"),
            (np.flatnonzero(chosen & ~inside), 7, beyond),
        )
        if where.size
    ]


def _failures(
    points: AxisPoints, failed: NDArray[np.bool_], low: float, high: float, maximize: bool
) -> dict[str, Any]:
    where = np.flatnonzero(failed)
    share = 0.97 if maximize else 0.03
    at = share * low + (1 - share) * high  # a width may be no float
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [_x(points, int(i)) for i in where],
        "y": plain(np.full(where.size, at)),
        "customdata": [points.names[int(i)] for i in where],
        "marker": {"size": 8, "symbol": "x", "color": BAD},
        "hovertemplate": f"trial %{{customdata}} failed<br>{escaped(points.name)} %{{x}}"
        "<extra></extra>",
    }


def _x(points: AxisPoints, index: int) -> object:
    value = points.values[index]
    return escaped(text_of(value)) if points.choices is not None else value


def _x_axis(points: AxisPoints) -> dict[str, Any]:
    if points.choices is not None:
        order = [escaped(text_of(choice)) for choice in points.choices]
        return axis("", type="category", categoryorder="array", categoryarray=order)
    if points.log and points.low is not None and points.high is not None:
        return log_axis("", points.low, points.high)
    return axis("")


def _bands(points: AxisPoints, place: Facet | None = None) -> list[dict[str, Any]]:
    if points.band is None:
        return []
    return [
        {
            "type": "rect",
            "xref": place.axes["xaxis"] if place else "x",
            "yref": f"{place.axes['yaxis']} domain" if place else "paper",
            "x0": points.band[0],
            "x1": points.band[1],
            "y0": 0,
            "y1": 1,
            "fillcolor": WARN_BAND,
            "line": {"width": 0},
            "layer": "below",
        }
    ]
