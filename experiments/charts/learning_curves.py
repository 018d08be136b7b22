"""Learning curves: validation solid, training dotted, one hue a trial, ends and best marked.

Runs that differ in nothing but seeds share a hue; their mean is drawn over them with a band.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.curves.mean_curve import MeanCurve
from experiments.charts.text_alternative import failure_words, span_words, text_alternative
from experiments.charts.theme import (
    HUES,
    INK_3,
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
    """One series of one trial. `steps`, `values`, `seconds`, `epochs` [T]; `seconds` since its
    start. Lines of one `group` share a hue and stand in the legend by their mean. `earlier`: the
    number of an ended attempt that logged it, 0 for the trial's curve. `started_ms` since 1970 is
    its start, None where nobody knows it. Where several series of one
    split share the chart, each has its own `variant` of the dash and its `label` in the legend.
    """

    trial: int
    trial_name: str
    series: str
    is_train: bool
    steps: NDArray[Any] = field(repr=False)
    values: NDArray[np.float64] = field(repr=False)
    seconds: NDArray[np.float64] = field(repr=False)
    running: bool = False
    epochs: NDArray[np.float64] | None = field(default=None, repr=False)
    group: str = ""
    earlier: int = 0
    variant: int = 0
    label: str = ""
    started_ms: int | None = None


_READOUT = {"hovermode": "closest", "hoverdistance": 40}
Ending = Literal["best", "pruned", "failed"]
_MARKS: dict[Ending, tuple[str, str]] = {
    "best": ("circle", "best checkpoint"),
    "pruned": ("square", "pruned here"),
    "failed": ("x", "failed here"),
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a trial's curve that means something: its best checkpoint, or how it ended."""

    trial: int
    step: float
    value: float
    seconds: float
    kind: Ending = "best"
    epoch: float | None = None
    started_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean curve of a group in one series."""

    group: str
    series: str
    is_train: bool
    curve: MeanCurve = field(repr=False)
    variant: int = 0
    label: str = ""
    members: str = "seeds"  # what it is the mean of


@dataclass(frozen=True, slots=True)
class Onset:
    """Step from which on a trial overfits."""

    trial_name: str
    step: float
    last_step: float
    text: str


@dataclass(frozen=True, slots=True)
class LearningCurves:
    """The figure of some trials' curves; the script behind it can add points to its lines.

    `order`: trials or groups in whose order hues are given, so that charts of other metrics of the
    same trials agree.
    """

    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    onsets: Sequence[Onset] = ()
    means: Sequence[Mean] = ()
    x_title: str = "step"
    y_title: str = ""
    order: Sequence[str | int] = ()
    legend: bool = True
    readout: bool = False  # the page writes the pointer's values elsewhere than in a label
    margin: Mapping[str, int] = field(default_factory=dict)  # pixels, where not the usual

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        drawn: list[str | int] = [line.group or line.trial for line in self.lines]
        trials = list(dict.fromkeys([*self.order, *drawn, *(mean.group for mean in self.means)]))
        hues = {trial: HUES[i % len(HUES)] for i, trial in enumerate(trials)}
        named: set[tuple[int, int, str]] = set()
        data = []
        for line in self.lines:
            own = (line.trial, line.earlier, line.label)
            speaks = not line.is_train or bool(line.label) or _only_train(self.lines, line.trial)
            first = own not in named and speaks
            if first:
                named.add(own)
            shown = first and not line.group
            data.append(line_trace(line, hues[line.group or line.trial], in_legend=shown))
        data += [mark_trace(mark, hues.get(mark.trial, HUES[0])) for mark in self.marks]
        for mean in self.means:
            data += mean_traces(mean, hues.get(mean.group, HUES[0]))
        if self.readout:
            data = [_unlabelled(trace) for trace in data]
        shapes, words = _onsets(self.onsets)
        hover = {"hovermode": "x unified" if len(trials) <= 3 else "closest"}
        return {
            "data": data,
            "layout": layout(
                showlegend=self.legend,
                legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
                margin={"l": 60, "r": 14, "t": 34, "b": 46, **self.margin},
                xaxis=axis(self.x_title, rangemode="normal"),
                yaxis=axis(self.y_title),
                shapes=shapes,
                annotations=words,
                **(_READOUT if self.readout else hover),
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        traces = [span_words(_said(_name(line), line.series), line.values) for line in self.lines]
        traces.append(failure_words(sum(mark.kind == "failed" for mark in self.marks)))
        traces += [
            span_words(_said(_mean_name(mean), mean.series), mean.curve.mean)
            for mean in self.means
        ]
        return text_alternative(self.x_title, self.y_title, traces)


def _unlabelled(trace: dict[str, Any]) -> dict[str, Any]:
    if not trace.pop("hovertemplate", None):
        return trace
    return trace | {"hoverinfo": "none"}


def _said(name: str, series: str) -> str:
    return name if series in name else f"{name} {series}".strip()


def _only_train(lines: Sequence[Line], trial: int) -> bool:
    return all(line.is_train for line in lines if line.trial == trial)


def line_trace(line: Line, hue: str, *, in_legend: bool) -> dict[str, Any]:
    """One line as a Plotly trace; `meta` tells the script what it is."""
    label = f"{line.trial_name} {line.series}"
    if line.earlier:
        label += f", attempt {line.earlier}"
        hue = INK_3
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(line.steps) == 1 else "lines",
        "x": plain(line.steps),
        "y": plain(line.values),
        "customdata": plain(line.seconds),
        "name": escaped(_name(line)),
        "legendgroup": f"{line.trial} {line.earlier or ''}".rstrip(),
        "showlegend": in_legend,
        "opacity": 0.35 if line.group else 0.75 if line.is_train else 1,
        "line": {
            "color": hue,
            "width": 1.0 if line.group else 1.3 if line.is_train else 2.1,
            "dash": _dash(line.is_train, line.variant),
        },
        "marker": {"size": 5},
        "hovertemplate": f"%{{y:.4g}}<extra>{escaped(label)}</extra>",
        "meta": {
            "trial": f"{line.trial} attempt {line.earlier}" if line.earlier else line.trial,
            "series": line.series,
            "train": line.is_train,
            "started": line.started_ms,
            "epochs": None if line.epochs is None else plain(line.epochs),
        },
    }


def _name(line: Line) -> str:
    label = f" {line.label}" if line.label else ""
    if line.earlier:
        return f"attempt {line.earlier}, taken over{label}"
    return line.trial_name + label + (" (running)" if line.running else "")


def _mean_name(mean: Mean) -> str:
    return f"{mean.group}, mean" + (f" {mean.label}" if mean.label else "")


def _dash(is_train: bool, variant: int) -> str:
    dashes = ("dot", "dashdot") if is_train else ("solid", "dash", "longdash", "longdashdot")
    return dashes[variant % len(dashes)]


def mean_traces(mean: Mean, hue: str) -> list[dict[str, Any]]:
    """The band between one deviation below and above, then the mean as a line."""
    steps = plain(mean.curve.steps)
    shared = {
        "type": "scatter",
        "mode": "lines",
        "x": steps,
        "legendgroup": mean.group,
        "meta": {"mean": mean.group, "series": mean.series, "members": mean.members},
    }
    edge = {**shared, "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    dash = _dash(mean.is_train, mean.variant)
    label = f"{mean.group} {mean.series}, mean of %{{customdata}} {mean.members}"
    return [
        {**edge, "y": plain(mean.curve.low)},
        {**edge, "y": plain(mean.curve.high), "fill": "tonexty", "fillcolor": f"{hue} / 0.2"},
        {
            **shared,
            "y": plain(mean.curve.mean),
            "customdata": mean.curve.count.tolist(),
            "name": escaped(_mean_name(mean)),
            "showlegend": not mean.is_train or bool(mean.label),
            "line": {"color": hue, "width": 2.6, "dash": dash},
            "hovertemplate": f"%{{y:.4g}}<extra>{escaped(label)}</extra>",
        },
    ]


def mark_trace(mark: Mark, hue: str) -> dict[str, Any]:
    """The best checkpoint as a ringed dot, a pruned end as a square, a failed one as a cross."""
    symbol, words = _MARKS[mark.kind]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": plain([mark.step]),
        "y": plain([mark.value]),
        "customdata": plain([mark.seconds]),
        "legendgroup": str(mark.trial),
        "showlegend": False,
        "marker": {
            "size": 10,
            "color": hue,
            "symbol": symbol,
            "line": {"color": SURFACE, "width": 2 if mark.kind == "best" else 1},
        },
        "hovertemplate": f"%{{y:.4g}}<extra>{words}</extra>",
        "meta": {
            "trial": mark.trial,
            "mark": mark.kind,
            "started": mark.started_ms,
            "epochs": None if mark.epoch is None else [mark.epoch],
        },
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
