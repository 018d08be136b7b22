"""Chart of intermediate values: each trial's reports to its pruner, by how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.charts.axes import frame
from experiments.charts.progress import LEGEND, WITH_LEGEND
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


def intermediate_plot(lines: Sequence[ReportedLine], *, metric: str, maximize: bool) -> Figure:
    """A line a trial, coloured by how it ended; pruned ones lie below the complete ones."""
    every = np.concatenate([line.values for line in lines]) if lines else np.empty(0)
    data = []
    for state in ("pruned", "failed", "running", "complete"):
        members = [line for line in lines if line.state == state]
        if members:
            data.append(_bundle(members, state, metric))
    return {
        "data": data,
        "layout": layout(
            showlegend=True,
            legend=LEGEND,
            margin=WITH_LEGEND,
            xaxis=axis("step"),
            yaxis=axis(
                escaped(metric),
                range=list(frame(every[np.isfinite(every)], maximize=maximize)),
            ),
        ),
    }


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
