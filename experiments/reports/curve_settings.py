"""Settings of learning curves that an address holds, applied to a figure for who draws it bare.

The same settings as static/js/learning_curves.js: `x`, `logx`, `logy`, `smooth`, `from`, `to`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.charts.learning_curves import LearningCurves, Line
from experiments.charts.theme import Figure, plain

MOST_SMOOTH = 0.99
_TITLES = {"time": "seconds since the trial began", "epoch": "epoch"}
_RAW = {"opacity": 0.22, "showlegend": False, "hoverinfo": "skip", "hovertemplate": None}


@dataclass(frozen=True, slots=True)
class AddressedCurves:
    """Learning curves with the settings of an address; `log_y` where it does not say."""

    curves: LearningCurves
    query: Mapping[str, str]
    log_y: bool = False

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        return as_addressed(self.curves.figure(), self.query, log_y=self.log_y)

    def words(self) -> str:
        """The chart's text alternative."""
        x, weight = self.query.get("x", ""), _weight(self.query)
        curves = self.curves
        if x in _TITLES:
            curves = replace(curves, x_title=_TITLES[x], means=())
        if x == "epoch":
            curves = replace(
                curves,
                lines=[line for line in curves.lines if line.epochs is not None],
                marks=[mark for mark in curves.marks if mark.epoch is not None],
            )
        if weight:
            curves = replace(curves, lines=[_smooth(line, weight) for line in curves.lines])
        return curves.words()


def _smooth(line: Line, weight: float) -> Line:
    smooth = moving_average(plain(line.values), weight)
    return replace(line, values=np.array(smooth, dtype=np.float64))


def _weight(query: Mapping[str, str]) -> float:
    return min(max(_number(query.get("smooth")) or 0.0, 0.0), MOST_SMOOTH)


def as_addressed(figure: Figure, query: Mapping[str, str], *, log_y: bool = False) -> Figure:
    """The figure of curves as an address shows it; `log_y` where the address does not say."""
    x, weight = query.get("x", ""), _weight(query)
    traces = [placed for trace in figure["data"] if (placed := _placed(trace, x)) is not None]
    if weight:
        traces = [drawn for trace in traces for drawn in _smoothed(trace, weight)]
    layout = dict(figure["layout"])
    across, upwards = dict(layout.get("xaxis", {})), dict(layout.get("yaxis", {}))
    if x in _TITLES:
        across["title"] = {**(across.get("title") or {}), "text": _TITLES[x]}
        layout |= {"shapes": [], "annotations": []}
    if query.get("logx") == "1":
        across["type"] = "log"
    if query.get("logy") == "1" or (log_y and query.get("logy") != "0"):
        upwards |= {"type": "log", "dtick": "D2", "tickformat": "~g"}
    start, end = _number(query.get("from")), _number(query.get("to"))
    if start is not None and end is not None and start < end:
        ends = [start, end]
        across["range"] = (
            [math.log10(max(x_end, 1e-3)) for x_end in ends]
            if across.get("type") == "log"
            else ends
        )
    return {**figure, "data": traces, "layout": {**layout, "xaxis": across, "yaxis": upwards}}


def _number(text: str | None) -> float | None:
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _placed(trace: Mapping[str, Any], x: str) -> dict[str, Any] | None:
    """A trace on the chosen axis; None for one that has no place there."""
    meta = trace.get("meta") or {}
    if x not in _TITLES:
        return dict(trace)
    if meta.get("mean"):
        return None
    places = trace.get("customdata") if x == "time" else meta.get("epochs")
    return None if places is None else {**trace, "x": places}


def _smoothed(trace: Mapping[str, Any], weight: float) -> list[dict[str, Any]]:
    meta = trace.get("meta") or {}
    if meta.get("mark") or meta.get("mean"):
        return [dict(trace)]
    return [{**trace, **_RAW}, {**trace, "y": moving_average(trace["y"], weight)}]


def moving_average(values: Sequence[float | None], weight: float) -> list[float | None]:
    """Exponential moving average without the pull to zero at its start; gaps stay gaps."""
    total = norm = 0.0
    found: list[float | None] = []
    for value in values:
        if value is None:
            found.append(None)
            continue
        total = weight * total + (1 - weight) * value
        norm = weight * norm + (1 - weight)
        found.append(total / norm)
    return found
