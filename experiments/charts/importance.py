"""Chart of hyperparameter importance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.charts.text_alternative import pairs_words, text_alternative
from experiments.charts.theme import ACCENT, INK_3, Figure, axis, escaped, layout, shortened

ACROSS = "% of what decides"
NEAR, WHOLE = "within the better half", "in the whole search space"


@dataclass(frozen=True, slots=True)
class Share:
    """One hyperparameter's share of the importance, 0..1, in the whole space and near its best."""

    name: str
    whole: float
    near: float


@dataclass(frozen=True, slots=True)
class ImportancePlot:
    """Two bars for each hyperparameter, the most important at the top."""

    shares: Sequence[Share]

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        rows = sorted(self.shares, key=lambda share: share.whole)
        names = [escaped(shortened(row.name, 28)) for row in rows]
        several = any(share.near for share in rows)
        return {
            "data": [
                *([_bars(rows, [share.near for share in rows], NEAR, INK_3)] if several else []),
                _bars(rows, [share.whole for share in rows], WHOLE, ACCENT),
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
                xaxis=axis(ACROSS, rangemode="tozero"),
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

    def words(self) -> str:
        """The chart's text alternative."""
        rows = sorted(self.shares, key=lambda share: -share.whole)
        names = [shortened(row.name, 28) for row in rows]
        near = [round(100 * row.near, 2) for row in rows]
        whole = [round(100 * row.whole, 2) for row in rows]
        return text_alternative(
            ACROSS,
            "",
            [
                pairs_words(NEAR, names, near) if any(near) else "",
                pairs_words(WHOLE, names, whole),
            ],
        )


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
