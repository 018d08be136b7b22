"""Fresh seeds of both sides, the deciding interval, and a project's adoptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.charts.text_alternative import pairs_words, span_words, text_alternative
from experiments.charts.theme import (
    ACCENT,
    BAD,
    GOOD,
    INK_2,
    INK_3,
    LINE,
    WARN,
    Figure,
    annotation,
    axis,
    escaped,
    layout,
    plain,
    shortened,
)


@dataclass(frozen=True, slots=True)
class Arm:
    """Scores [N] of one side's replicates, NaN where one failed.

    `mean`, `low`, `high` only once a look allows to show them.
    """

    label: str
    words: str
    scores: NDArray[np.float64]
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    tuning_score: float | None = None


@dataclass(frozen=True, slots=True)
class SeedsPlot:
    """Every seed of both arms; the mean with its interval only where one is given. Not `fresh`:
    of runs that existed before they were compared.
    """

    candidate: Arm
    baseline: Arm
    metric: str
    fresh: bool = True

    @property
    def across(self) -> str:
        """Title of the axis of scores."""
        return f"{self.metric}, each dot one {'fresh seed' if self.fresh else 'run'}"

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        data: list[dict[str, Any]] = []
        words = []
        for row, arm, colour in ((0, self.baseline, INK_3), (1, self.candidate, ACCENT)):
            data += _arm(row, arm, colour)
            if arm.tuning_score is not None:
                data.append(_tuning(row, arm.tuning_score, colour))
                words.append(
                    annotation(
                        "tuning score of the winner: not counted",
                        x=arm.tuning_score,
                        y=row,
                        yshift=34,  # above the dots, which are jittered
                        xanchor="auto",
                    )
                )
        labels = [
            f"{arm.label}<br>{escaped(shortened(arm.words, 24))}" if arm.words else arm.label
            for arm in (self.baseline, self.candidate)
        ]
        return {
            "data": data,
            "layout": layout(
                margin={"l": 84, "r": 16, "t": 10, "b": 46},
                yaxis=axis(
                    "", tickvals=[0, 1], ticktext=labels, range=[-0.62, 1.55], showgrid=False
                ),
                xaxis=axis(escaped(self.across)),
                annotations=words,
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        arms = (self.baseline, self.candidate)
        traces = [span_words(arm.label, arm.scores) for arm in arms]
        return text_alternative(self.across, "", traces)


def _arm(row: int, arm: Arm, colour: str) -> list[dict[str, Any]]:
    finite = np.flatnonzero(np.isfinite(arm.scores))
    # The same pair has the same height in both arms, so that its two dots can be found.
    heights = [row + 0.13 * (((7 * int(i)) % 10) / 4.5 - 1) for i in finite]
    drawn: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": plain(arm.scores[finite]),
            "y": plain(np.array(heights)),
            "customdata": [int(i) + 1 for i in finite],
            "marker": {"size": 10, "color": colour, "opacity": 0.75},
            "hovertemplate": "pair %{customdata}<br>%{x:.4g}<extra></extra>",
        }
    ]
    if arm.mean is not None and arm.low is not None and arm.high is not None:
        drawn.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": plain([arm.low, arm.high]),
                "y": [row - 0.34] * 2,
                "line": {"color": colour, "width": 5},
                "hoverinfo": "skip",
            }
        )
        drawn.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": plain([arm.mean]),
                "y": [row - 0.34],
                "marker": {"size": 12, "symbol": "diamond", "color": colour},
                "hovertemplate": "mean %{x:.4g}<extra></extra>",
            }
        )
    return drawn


def _tuning(row: int, score: float, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": plain([score]),
        "y": [row],
        "marker": {"size": 11, "symbol": "circle-open", "color": colour, "line": {"width": 2}},
        "hovertemplate": "tuning score %{x:.4g}: not counted<extra></extra>",
    }


@dataclass(frozen=True, slots=True)
class IntervalPlot:
    """The interval of the gain against the margin that it has to clear.

    Green only where all of it clears the margin (and zero), red where none of it does.
    """

    gain: float
    lower: float
    upper: float
    margin: float
    unit: str

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        colour = (
            GOOD
            if self.lower > max(self.margin, 0.0)
            else BAD
            if self.upper < self.margin
            else WARN
        )
        ends = [self.lower, self.upper, 0.0, self.margin]
        pad = 0.08 * (max(ends) - min(ends)) or 1.0
        marks = [_upright(0.0, LINE, "dot")]
        words = []
        if self.margin:
            marks.append(_upright(self.margin, INK_2, "solid"))
            words.append(
                annotation(
                    "margin", x=self.margin, y=1, yref="paper", yanchor="bottom", xanchor="center"
                )
            )
        else:
            words.append(
                annotation("no gain", x=0, y=1, yref="paper", yanchor="bottom", xanchor="center")
            )
        return {
            "data": [
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": plain([self.lower, self.upper]),
                    "y": [0, 0],
                    "line": {"color": colour, "width": 6},
                    "hoverinfo": "skip",
                },
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": plain([self.gain]),
                    "y": [0],
                    "marker": {"size": 14, "symbol": "diamond", "color": colour},
                    "hovertemplate": "mean gain %{x:.4g}<extra></extra>",
                },
            ],
            "layout": layout(
                margin={"l": 16, "r": 16, "t": 22, "b": 44},
                xaxis=axis(
                    f"gain in {escaped(self.unit)}", range=[min(ends) - pad, max(ends) + pad]
                ),
                yaxis=axis("", showticklabels=False, showgrid=False, range=[-1, 1]),
                shapes=marks,
                annotations=words,
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        gain = f"Gain {self.gain:.4g}, interval from {self.lower:.4g} to {self.upper:.4g}"
        return text_alternative(f"gain in {self.unit}", "", [gain, f"Margin {self.margin:.4g}"])


def _upright(x: float, colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "line",
        "x0": x,
        "x1": x,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": colour, "width": 1.5, "dash": dash},
        "layer": "below",
    }


@dataclass(frozen=True, slots=True)
class LineagePlot:
    """Each adoption's gain over the champion before it, with the interval that decided."""

    names: Sequence[str]
    gains: Sequence[float]
    lowers: Sequence[float]
    uppers: Sequence[float]
    metric: str

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        gain = np.asarray(self.gains, dtype=np.float64)
        # An interval that spans zero is nobody's success.
        shown = [GOOD if lower > 0 else WARN for lower in self.lowers]
        return {
            "data": [
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": list(range(len(self.names))),
                    "y": plain(gain),
                    "error_y": {
                        "type": "data",
                        "symmetric": False,
                        "array": plain(np.asarray(self.uppers, dtype=np.float64) - gain),
                        "arrayminus": plain(gain - np.asarray(self.lowers, dtype=np.float64)),
                        "color": INK_3,
                        "thickness": 2,
                        "width": 5,
                    },
                    "marker": {"size": 11, "symbol": "diamond", "color": shown},
                    "text": [escaped(name) for name in self.names],
                    "hovertemplate": "%{text}<br>gain %{y:.4g}<extra></extra>",
                }
            ],
            "layout": layout(
                xaxis=axis(
                    "",
                    tickvals=list(range(len(self.names))),
                    ticktext=[escaped(shortened(name, 20)) for name in self.names],
                    range=[-0.5, len(self.names) - 0.5],
                    showgrid=False,
                ),
                yaxis=axis(f"gain in {escaped(self.metric)}", rangemode="tozero"),
                margin={"l": 60, "r": 14, "t": 10, "b": 40},
            ),
        }

    def words(self) -> str:
        """The chart's text alternative."""
        gains = pairs_words("", [shortened(name, 20) for name in self.names], self.gains)
        return text_alternative("", f"gain in {self.metric}", [gains])
