"""Chart of intermediate values: each trial's reports to its pruner, by how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.charts.axes import frame
from experiments.charts.progress import LEGEND, WITH_LEGEND
from experiments.charts.text_alternative import span_words, text_alternative
from experiments.charts.theme import ACCENT, BAD, INK_3, Figure, axis, escaped, layout, plain
from experiments.charts.thinning import evenly

MOST_LINES = 200
MOST_POINTS = 200  # of a line
_COLOURS = {"complete": ACCENT, "pruned": INK_3, "failed": BAD, "running": INK_3}


@dataclass(frozen=True, slots=True)
class ReportedLine:
    """Reports of one trial: `steps` and `values` [T], in the order of the steps."""

    name: str
    state: str
    steps: NDArray[np.float64] = field(repr=False)
    values: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True, slots=True)
class IntermediatePlot:
    """A line a trial, coloured by how it ended; pruned ones lie below the complete ones."""

    lines: Sequence[ReportedLine]
    metric: str
    maximize: bool

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        every = np.concatenate([line.values for line in self.lines]) if self.lines else np.empty(0)
        data = []
        for state, members in self._by_state():
            data.append(_bundle(members, state, self.metric))
        return {
            "data": data,
            "layout": layout(
                showlegend=True,
                legend=LEGEND,
                margin=WITH_LEGEND,
                xaxis=axis("step"),
                yaxis=axis(
                    escaped(self.metric),
                    range=list(frame(every[np.isfinite(every)], maximize=self.maximize)),
                ),
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        traces = [
            span_words(state, np.concatenate([line.values for line in members]))
            for state, members in self._by_state()
        ]
        return text_alternative("step", self.metric, traces)

    def _by_state(self) -> list[tuple[str, list[ReportedLine]]]:
        found = [
            (state, [line for line in self.lines if line.state == state])
            for state in ("pruned", "failed", "running", "complete")
        ]
        return [(state, members) for state, members in found if members]


def _bundle(lines: Sequence[ReportedLine], state: str, metric: str) -> dict[str, Any]:
    """Many lines as one trace, a gap after each."""
    x: list[float] = []
    y: list[float] = []
    names: list[str] = []
    for line in lines:
        shown = evenly(line.steps.size, MOST_POINTS)
        x += [*line.steps[shown].tolist(), float("nan")]
        y += [*line.values[shown].tolist(), float("nan")]
        names += [line.name] * (shown.size + 1)
    return {
        "type": "scatter",
        "mode": "lines+markers" if max(len(line.steps) for line in lines) < 2 else "lines",
        "x": plain(x),
        "y": plain(y),
        "name": state,
        "customdata": names,
        "line": {"color": _COLOURS[state], "width": 1.4},
        "opacity": 0.8 if state == "complete" else 0.55,
        "hovertemplate": f"trial %{{customdata}}, step %{{x}}<br>{escaped(metric)} %{{y:.4g}}"
        "<extra></extra>",
    }
