"""Fresh seeds of both sides, the deciding interval, and a project's adoptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def seeds_plot(candidate: Arm, baseline: Arm, *, metric: str, fresh: bool = True) -> Figure:
    """Every seed of both arms; the mean with its interval only where one is given. Not `fresh`:
    of runs that existed before they were compared.
    """
    dot = "fresh seed" if fresh else "run"
    data: list[dict[str, Any]] = []
    words = []
    for row, arm, colour in ((0, baseline, INK_3), (1, candidate, ACCENT)):
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
        for arm in (baseline, candidate)
    ]
    return {
        "data": data,
        "layout": layout(
            margin={"l": 84, "r": 16, "t": 10, "b": 46},
            yaxis=axis("", tickvals=[0, 1], ticktext=labels, range=[-0.62, 1.55], showgrid=False),
            xaxis=axis(f"{escaped(metric)}, each dot one {dot}"),
            annotations=words,
        ),
    }


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


def interval_plot(*, gain: float, lower: float, upper: float, margin: float, unit: str) -> Figure:
    """The interval of the gain against the margin that it has to clear.

    Green only where all of it clears the margin (and zero), red where none of it does.
    """
    colour = GOOD if lower > max(margin, 0.0) else BAD if upper < margin else WARN
    ends = [lower, upper, 0.0, margin]
    pad = 0.08 * (max(ends) - min(ends)) or 1.0
    marks = [_upright(0.0, LINE, "dot")]
    words = []
    if margin:
        marks.append(_upright(margin, INK_2, "solid"))
        words.append(
            annotation("margin", x=margin, y=1, yref="paper", yanchor="bottom", xanchor="center")
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
                "x": plain([lower, upper]),
                "y": [0, 0],
                "line": {"color": colour, "width": 6},
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "mode": "markers",
                "x": plain([gain]),
                "y": [0],
                "marker": {"size": 14, "symbol": "diamond", "color": colour},
                "hovertemplate": "mean gain %{x:.4g}<extra></extra>",
            },
        ],
        "layout": layout(
            margin={"l": 16, "r": 16, "t": 22, "b": 44},
            xaxis=axis(f"gain in {escaped(unit)}", range=[min(ends) - pad, max(ends) + pad]),
            yaxis=axis("", showticklabels=False, showgrid=False, range=[-1, 1]),
            shapes=marks,
            annotations=words,
        ),
    }


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


def lineage_plot(
    names: Sequence[str],
    gains: Sequence[float],
    lowers: Sequence[float],
    uppers: Sequence[float],
    *,
    metric: str,
) -> Figure:
    """Each adoption's gain over the champion before it, with the interval that decided."""
    gain = np.asarray(gains, dtype=np.float64)
    # An interval that spans zero is nobody's success.
    shown = [GOOD if lower > 0 else WARN for lower in lowers]
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "x": list(range(len(names))),
                "y": plain(gain),
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": plain(np.asarray(uppers, dtype=np.float64) - gain),
                    "arrayminus": plain(gain - np.asarray(lowers, dtype=np.float64)),
                    "color": INK_3,
                    "thickness": 2,
                    "width": 5,
                },
                "marker": {"size": 11, "symbol": "diamond", "color": shown},
                "text": [escaped(name) for name in names],
                "hovertemplate": "%{text}<br>gain %{y:.4g}<extra></extra>",
            }
        ],
        "layout": layout(
            xaxis=axis(
                "",
                tickvals=list(range(len(names))),
                ticktext=[escaped(shortened(name, 20)) for name in names],
                range=[-0.5, len(names) - 0.5],
                showgrid=False,
            ),
            yaxis=axis(f"gain in {escaped(metric)}", rangemode="tozero"),
            margin={"l": 60, "r": 14, "t": 10, "b": 40},
        ),
    }
