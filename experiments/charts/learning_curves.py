"""Learning curves: validation solid, training dotted, one hue a trial, best checkpoint marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.charts.theme import (
    HUES,
    SURFACE,
    WARN,
    WARN_BAND,
    Figure,
    annotation,
    axis,
    escaped,
    layout,
    plain,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One series of one trial. `steps`, `values`, `seconds` [T]; `seconds` since its start."""

    trial: int
    trial_name: str
    series: str
    is_train: bool
    steps: NDArray[Any] = field(repr=False)
    values: NDArray[np.float64] = field(repr=False)
    seconds: NDArray[np.float64] = field(repr=False)
    running: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """The best checkpoint of a trial."""

    trial: int
    step: float
    value: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Onset:
    """Where a trial's curve turns: overfitting from this step on."""

    trial_name: str
    step: float
    last_step: float
    text: str


def learning_curves(
    lines: Sequence[Line],
    marks: Sequence[Mark] = (),
    onsets: Sequence[Onset] = (),
    *,
    x_title: str = "step",
    y_title: str = "",
) -> Figure:
    """The figure of some trials' curves; the script behind it can add points to its lines."""
    trials = list(dict.fromkeys(line.trial for line in lines))
    hues = {trial: HUES[i % len(HUES)] for i, trial in enumerate(trials)}
    named: set[int] = set()
    data = []
    for line in lines:
        first = line.trial not in named and (not line.is_train or _only_train(lines, line.trial))
        if first:
            named.add(line.trial)
        data.append(line_trace(line, hues[line.trial], in_legend=first))
    data += [mark_trace(mark, hues.get(mark.trial, HUES[0])) for mark in marks]
    shapes, words = _onsets(onsets)
    return {
        "data": data,
        "layout": layout(
            hovermode="x unified" if len(trials) <= 3 else "closest",
            showlegend=True,
            legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            margin={"l": 60, "r": 14, "t": 34, "b": 46},
            xaxis=axis(x_title, rangemode="normal"),
            yaxis=axis(y_title),
            shapes=shapes,
            annotations=words,
        ),
    }


def _only_train(lines: Sequence[Line], trial: int) -> bool:
    return all(line.is_train for line in lines if line.trial == trial)


def line_trace(line: Line, hue: str, *, in_legend: bool) -> dict[str, Any]:
    """One line as a Plotly trace; `meta` tells the script what it is."""
    label = f"{line.trial_name} {line.series}"
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(line.steps) == 1 else "lines",
        "x": plain(line.steps),
        "y": plain(line.values),
        "customdata": plain(line.seconds),
        "name": escaped(line.trial_name + (" (running)" if line.running else "")),
        "legendgroup": str(line.trial),
        "showlegend": in_legend,
        "opacity": 0.75 if line.is_train else 1,
        "line": {
            "color": hue,
            "width": 1.3 if line.is_train else 2.1,
            "dash": "dot" if line.is_train else "solid",
        },
        "marker": {"size": 5},
        "hovertemplate": f"%{{y:.4g}}<extra>{escaped(label)}</extra>",
        "meta": {"trial": line.trial, "series": line.series, "train": line.is_train},
    }


def mark_trace(mark: Mark, hue: str) -> dict[str, Any]:
    """The best checkpoint as a ringed dot."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": plain([mark.step]),
        "y": plain([mark.value]),
        "customdata": plain([mark.seconds]),
        "legendgroup": str(mark.trial),
        "showlegend": False,
        "marker": {"size": 10, "color": hue, "line": {"color": SURFACE, "width": 2}},
        "hovertemplate": "%{y:.4g}<extra>best checkpoint</extra>",
        "meta": {"trial": mark.trial, "mark": True},
    }


def _onsets(onsets: Sequence[Onset]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    shapes = [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": onset.step,
            "x1": onset.last_step,
            "y0": 0,
            "y1": 1,
            "fillcolor": WARN_BAND,
            "line": {"width": 0},
            "layer": "below",
        }
        for onset in onsets
    ]
    words = [
        annotation(
            escaped(onset.text),
            x=onset.last_step,
            y=1 - 0.06 * i,
            yref="paper",
            xanchor="right",
            yanchor="top",
            font={"size": 12, "color": WARN},
        )
        for i, onset in enumerate(onsets)
    ]
    return shapes, words
