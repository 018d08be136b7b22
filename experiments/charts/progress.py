"""Charts of a search's progress: history, expected best, scores, time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.charts.axes import frame
from experiments.charts.text_alternative import span_words, text_alternative
from experiments.charts.theme import (
    ACCENT,
    BAD,
    HUES,
    INK_3,
    Figure,
    axis,
    escaped,
    layout,
    plain,
    shortened,
)
from experiments.charts.thinning import evenly

IN_ORDER = "trials, in the order they were started"
AT_LEAST = "% of feasible trials at least as good"
MOST_DOTS = 600
MOST_STEPS = 300
MOST_BARS = 1000
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
WITH_LEGEND = {"l": 56, "r": 14, "t": 32, "b": 46}
UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line: `x` and `y` [K]."""

    label: str
    x: Sequence[float] = field(repr=False)
    y: Sequence[float] = field(repr=False)


@dataclass(frozen=True, slots=True)
class HistoryPlot:
    """Scores [N] in the order the trials were numbered, and the best so far."""

    scores: NDArray[np.float64] = field(repr=False)
    names: Sequence[str] = field(repr=False)
    metric: str
    maximize: bool

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        order = np.arange(1, self.scores.size + 1)
        best, bends = self._best()
        shown = evenly(self.scores.size, MOST_DOTS)  # of many dots an even draw is enough
        dots = {
            "type": "scatter",
            "mode": "markers",
            "x": order[shown].tolist(),
            "y": plain(self.scores[shown]),
            "name": "trials",
            "customdata": [self.names[int(i)] for i in shown],
            "marker": {"color": INK_3, "size": 6, "opacity": 0.6},
            "hovertemplate": f"trial %{{customdata}}<br>{escaped(self.metric)} %{{y:.4g}}"
            "<extra></extra>",
        }
        line = {
            "type": "scatter",
            "mode": "lines",
            "x": order[bends].tolist(),
            "y": plain(best[bends]),
            "name": "best so far",
            "line": {"color": ACCENT, "width": 2.2, "shape": "hv"},
            "hovertemplate": "best so far %{y:.4g}<extra></extra>",
        }
        finite = self.scores[np.isfinite(self.scores)]
        return {
            "data": [dots, line],
            "layout": layout(
                xaxis=axis(IN_ORDER, tickformat=",d"),
                yaxis=axis(
                    escaped(self.metric), range=list(frame(finite, maximize=self.maximize))
                ),
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        best, bends = self._best()
        spans = [span_words("trials", self.scores), span_words("best so far", best[bends])]
        return text_alternative(IN_ORDER, self.metric, spans)

    def _best(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The best so far [N], and the places where it improves, with the last one."""
        worst = -np.inf if self.maximize else np.inf
        filled = np.where(np.isfinite(self.scores), self.scores, worst)
        best = np.maximum.accumulate(filled) if self.maximize else np.minimum.accumulate(filled)
        improved = np.flatnonzero(np.diff(best, prepend=np.nan) != 0)
        return best, np.union1d(improved, [self.scores.size - 1])


@dataclass(frozen=True, slots=True)
class BestOfPlot:
    """The expected best score of n trials, for every n up to what was run. No line goes beyond.

    Source: Dodge et al. (2019), "Show your work"; Tang et al. (2020) for the unbiased estimator.
    """

    curves: Sequence[Curve]
    metric: str

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        most = max((curve.x[-1] for curve in self.curves if len(curve.x)), default=1)
        return {
            "data": [
                _line(curve, place, "hv")
                for place, curve in enumerate(self.curves)
                if len(curve.x)
            ],
            "layout": layout(
                showlegend=len(self.curves) > 1,
                legend=LEGEND,
                margin=WITH_LEGEND if len(self.curves) > 1 else {**WITH_LEGEND, "t": 10},
                xaxis=axis("number of trials", type="log", **_counts(most)),
                yaxis=axis(f"expected best {escaped(self.metric)}"),
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        traces = [span_words(shortened(curve.label, 36), curve.y) for curve in self.curves]
        return text_alternative("number of trials", f"expected best {self.metric}", traces)


def _counts(most: float) -> dict[str, Any]:
    """Labels of a logarithmic axis of counts: 1, 2, 5, 10, ..."""
    ticks = [step * 10**power for power in range(7) for step in (1, 2, 5)]
    shown = [tick for tick in ticks if tick <= most]
    shown = shown if len(shown) < 9 else [tick for tick in shown if str(tick)[0] == "1"]
    return {"tickvals": shown, "ticktext": [f"{tick:,}" for tick in shown]}


def _line(curve: Curve, place: int, shape: str = "linear") -> dict[str, Any]:
    name = escaped(shortened(curve.label, 36))
    return {
        "type": "scatter",
        "mode": "lines" if len(curve.x) > 1 else "markers",
        "x": list(curve.x),
        "y": plain(np.asarray(curve.y, dtype=np.float64)),
        "name": name,
        "line": {"color": HUES[place % len(HUES)], "width": 2.2, "shape": shape},
        "marker": {"color": HUES[place % len(HUES)], "size": 8},
        "hovertemplate": f"{name}<br>%{{x}}: %{{y:.4g}}<extra></extra>",
    }


@dataclass(frozen=True, slots=True)
class DistributionPlot:
    """The share of feasible trials that reach a score or better, a line for each named set."""

    scores: Sequence[tuple[str, NDArray[np.float64]]] = field(repr=False)
    metric: str
    maximize: bool

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        curves = []
        for label, row in self.scores:
            worth = np.sort(row)[::-1] if self.maximize else np.sort(row)
            if worth.size:
                shown = evenly(worth.size, MOST_STEPS)
                share = 100 * (shown + 1) / worth.size
                curves.append(Curve(label, plain(worth[shown]), plain(share)))  # type: ignore[arg-type]
        every = np.concatenate([row for _, row in self.scores]) if self.scores else np.empty(0)
        several = len(curves) > 1
        return {
            "data": [
                _line(curve, place)
                | {
                    "hovertemplate": "%{y:.3g} % reach %{x:.4g}<extra>"
                    + escaped(curve.label)
                    + "</extra>"
                }
                for place, curve in enumerate(curves)
            ],
            "layout": layout(
                showlegend=several,
                legend=LEGEND,
                margin=WITH_LEGEND if several else {**WITH_LEGEND, "t": 10},
                xaxis=axis(escaped(self.metric), range=list(frame(every, maximize=self.maximize))),
                yaxis=axis(AT_LEAST, range=[0, 103]),
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        traces = [
            f"{shortened(label, 36)}: {row.size} trials, from {row.min():.4g} to {row.max():.4g}"
            for label, row in self.scores
            if row.size
        ]
        return text_alternative(self.metric, AT_LEAST, traces)


@dataclass(frozen=True, slots=True)
class TimelinePlot:
    """Timeline of trials [N]: a stroke from start to end, in seconds since the first began.

    `groups` names the trials by how they ended; the colours are neutral, grey, and red.
    """

    started: NDArray[np.float64] = field(repr=False)
    finished: NDArray[np.float64] = field(repr=False)
    groups: Sequence[tuple[str, NDArray[np.bool_]]] = field(repr=False)

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        known = self._known()
        size, unit = self._unit()
        order = np.empty(self.started.size)
        order[np.argsort(np.where(known, self.started, np.inf), kind="stable")] = np.arange(
            1, self.started.size + 1
        )
        shown = np.zeros(self.started.size, dtype=bool)
        shown[evenly(self.started.size, MOST_BARS)] = self.started.size > 0
        colours = {"complete": ACCENT, "pruned": INK_3, "failed": BAD}
        data = [
            _strokes(
                self.started / size,
                self.finished / size,
                order,
                np.flatnonzero(members & known & shown),
            )
            | {"name": name, "line": {"color": colours.get(name, INK_3), "width": _thick(known)}}
            for name, members in self.groups
            if (members & known & shown).any()
        ]
        return {
            "data": data,
            "layout": layout(
                showlegend=True,
                legend=LEGEND,
                margin=WITH_LEGEND,
                hovermode=False,
                xaxis=axis(f"{unit} since the first trial began", rangemode="tozero"),
                yaxis=axis(IN_ORDER, tickformat=",d"),
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        known = self._known()
        counts = [(name, int((members & known).sum())) for name, members in self.groups]
        traces = [f"{count} {name}" for name, count in counts if count]
        return text_alternative(f"{self._unit()[1]} since the first trial began", IN_ORDER, traces)

    def _known(self) -> NDArray[np.bool_]:
        return np.isfinite(self.started) & np.isfinite(self.finished)

    def _unit(self) -> tuple[float, str]:
        """Seconds of the unit that suits the whole span, and its name."""
        known = self._known()
        last = float(self.finished[known].max()) if known.any() else 1.0
        return next((scale for scale in UNITS if last >= 2 * scale[0]), UNITS[-1])


def _thick(known: NDArray[np.bool_]) -> float:
    return max(1.2, min(5.0, 110 / max(1, int(known.sum()))))


def _strokes(
    started: NDArray[np.float64],
    finished: NDArray[np.float64],
    order: NDArray[np.float64],
    where: NDArray[np.int64],
) -> dict[str, Any]:
    """Many strokes as one trace, a gap after each."""
    gap = np.full(where.size, np.nan)
    x = np.column_stack([started[where], finished[where], gap]).ravel()
    y = np.column_stack([order[where], order[where], gap]).ravel()
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plain(x),
        "y": plain(y),
        "hoverinfo": "skip",
    }
