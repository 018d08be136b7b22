"""Chart of hyperparameter importance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.charts.theme import ACCENT, INK_3, Figure, axis, escaped, layout, shortened


@dataclass(frozen=True, slots=True)
class Share:
    """One hyperparameter's share of the importance, 0..1, in the whole space and near its best."""

    name: str
    whole: float
    near: float


def importance_plot(shares: Sequence[Share]) -> Figure:
    """Two bars for each hyperparameter, the most important at the top."""
    rows = sorted(shares, key=lambda share: share.whole)
    names = [escaped(shortened(row.name, 28)) for row in rows]
    several = any(share.near for share in rows)
    return {
        "data": [
            *(
                [_bars(rows, [share.near for share in rows], "within the better half", INK_3)]
                if several
                else []
            ),
            _bars(rows, [share.whole for share in rows], "in the whole search space", ACCENT),
        ],
        "layout": layout(
            barmode="group",
            bargap=0.32,
            showlegend=several,
            legend={
                "orientation": "h",
                "y": 1.02,
                "yanchor": "bottom",
                "x": 0,
                "traceorder": "reversed",
            },
            xaxis=axis("% of what decides", rangemode="tozero"),
            # Numbers with labels: two long names that look alike when cut stay two bars.
            yaxis=axis(
                "",
                showgrid=False,
                tickvals=list(range(len(rows))),
                ticktext=names,
                ticklabelstandoff=6,
            ),
            margin={"l": 60, "r": 30, "t": 36, "b": 46},
        ),
    }


def _bars(
    rows: Sequence[Share], shares: Sequence[float], label: str, colour: str
) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "y": list(range(len(rows))),
        "customdata": [escaped(row.name) for row in rows],
        "x": [round(100 * share, 2) for share in shares],
        "name": label,
        "marker": {"color": colour},
        "hovertemplate": f"%{{customdata}}: %{{x:.3g}} % {label}<extra></extra>",
    }
