"""Isolation plots: the best over the nuisance hyperparameters for each scientific value.

Source: Tuning Playbook, "Extracting insight from experimental results" (isolation plots).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.charts.axes import frame
from experiments.charts.text_alternative import pairs_words, span_words, text_alternative
from experiments.charts.theme import (
    HUES,
    INK,
    SURFACE,
    Figure,
    axis,
    escaped,
    layout,
    plain,
    shortened,
)
from experiments.charts.thinning import leading_and_even

MOST_DOTS = 600  # of all values together
GOLDEN = (math.sqrt(5) - 1) / 2  # its multiples fill an interval evenly


@dataclass(frozen=True, slots=True)
class ValueScores:
    """Scores [N] of the feasible trials of one scientific value (an arm, a bucket).

    `equalised` is the expected best of as many trials as the value with the fewest has.
    """

    label: str
    scores: NDArray[np.float64] = field(repr=False)
    names: Sequence[str] = field(repr=False)
    equalised: float | None = None


@dataclass(frozen=True, slots=True)
class IsolationPlot:
    """Each value with its trials, the best of them, and the best that a fair count would give."""

    values: Sequence[ValueScores]
    metric: str
    maximize: bool

    @property
    def fewest(self) -> int:
        """Number of trials of the value that has the fewest."""
        return min((value.scores.size for value in self.values if value.scores.size), default=0)

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        most = max(1, MOST_DOTS // max(1, len(self.values)))
        data: list[dict[str, Any]] = []
        for place, group in enumerate(self.values):
            data += _one_value(place, group, most, self.metric, self.maximize)
        data += _fair(self.values, self.fewest, self.metric)
        every = (
            np.concatenate([group.scores for group in self.values]) if self.values else np.empty(0)
        )
        ticks = [
            f"{escaped(shortened(value.label, 22))}<br>"
            f"{value.scores.size:,} trial{'' if value.scores.size == 1 else 's'}"
            for value in self.values
        ]
        return {
            "data": data,
            "layout": layout(
                showlegend=bool(data),
                legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
                xaxis=axis(
                    "",
                    tickvals=list(range(len(self.values))),
                    ticktext=ticks,
                    range=[-0.6, len(self.values) - 0.4],
                    tickangle=0 if len(self.values) < 5 else 30,
                    showgrid=False,
                ),
                yaxis=axis(escaped(self.metric), range=list(frame(every, maximize=self.maximize))),
                margin={"l": 60, "r": 14, "t": 36, "b": 56},
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        labels = [shortened(value.label, 22) for value in self.values]
        best = np.max if self.maximize else np.min
        bests = [best(v.scores) if v.scores.size else math.nan for v in self.values]
        fair = [math.nan if v.equalised is None else v.equalised for v in self.values]
        traces = [pairs_words("best trial", labels, bests)]
        if np.isfinite(fair).sum() > 1:
            traces.append(pairs_words(f"expected best of {self.fewest:,}", labels, fair))
        traces += [
            span_words(f"{label}, all trials", value.scores)
            for label, value in zip(labels, self.values, strict=True)
        ]
        return text_alternative("", self.metric, traces)


def _one_value(
    place: int, group: ValueScores, most: int, metric: str, maximize: bool
) -> list[dict[str, Any]]:
    if not group.scores.size:
        return []
    hue = HUES[place % len(HUES)]
    shown = np.flatnonzero(leading_and_even(group.scores, most, maximize=maximize))
    spread = [place + 0.44 * ((int(i) * GOLDEN) % 1 - 0.5) for i in shown]
    best = int(np.argmax(group.scores) if maximize else np.argmin(group.scores))
    diamond = {"size": 14, "symbol": "diamond", "line": {"color": SURFACE, "width": 2}}
    return [
        _dots(spread, group.scores[shown], [group.names[int(i)] for i in shown], metric)
        | {"marker": {"color": hue, "size": 6, "opacity": 0.4}, "showlegend": False},
        _dots([place], group.scores[[best]], [group.names[best]], f"best {metric}")
        | {
            "marker": {"color": hue, **diamond},
            "name": "best trial",
            "legendgroup": "best",
            "showlegend": place == 0,
        },
    ]


def _fair(values: Sequence[ValueScores], fewest: int, metric: str) -> list[dict[str, Any]]:
    """A bar at each value: what its best would be had it had as few trials as any other."""
    equalised = [
        (i, group.equalised) for i, group in enumerate(values) if group.equalised is not None
    ]
    if len(equalised) < 2:
        return []
    name = f"expected best of {fewest:,}"
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [place for place, _ in equalised],
            "y": plain([value for _, value in equalised]),
            "name": name,
            "marker": {
                "symbol": "line-ew",
                "size": 46,
                "color": INK,
                "line": {"color": INK, "width": 2.5},
            },
            "hovertemplate": f"{name} trials: {escaped(metric)} %{{y:.4g}}<extra></extra>",
        }
    ]


def _dots(
    x: Sequence[float], y: NDArray[np.float64], names: Sequence[str], metric: str
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [round(float(offset), 4) for offset in x],
        "y": plain(y),
        "customdata": list(names),
        "hovertemplate": f"trial %{{customdata}}<br>{escaped(metric)} %{{y:.4g}}<extra></extra>",
    }
