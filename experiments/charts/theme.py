"""Theme of all figures: quiet axes, colours named after the page's variables, plain numbers.

A colour is written `var(--name)`; the script that draws the figure asks the page for its value,
so that the same figure serves light and dark.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Figure = dict[str, Any]


class Plot(Protocol):
    """Content of one chart, from which both its figure and its words are made."""

    def figure(self) -> Figure:
        """Plotly's traces and layout."""
        ...

    def words(self) -> str:
        """The chart's text alternative."""
        ...


INK, INK_2, INK_3 = "var(--ink)", "var(--ink-2)", "var(--ink-3)"
ACCENT, GOOD, WARN, BAD = "var(--accent)", "var(--good)", "var(--warn)", "var(--bad)"
WARN_BAND = "var(--warn-band)"
SURFACE, GRID, LINE = "var(--surface)", "var(--grid)", "var(--line-strong)"
HUES = tuple(f"var(--hue-{number})" for number in range(1, 11))
MOST_DECADES = 12  # labels of a logarithmic axis; a longer one has every second, third, ...
# Decimal exponents within which a logarithmic axis ends: those of floats.
_LEAST, _MOST = math.log10(math.ulp(0.0)), math.log10(sys.float_info.max)
DRAWN_DIGITS = 6  # finer than a screen can show


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """An axis with a thin grid and no frame."""
    quiet = {
        "showline": False,
        "zeroline": False,
        "gridcolor": GRID,
        "ticks": "",
        "automargin": True,
        "title": {"text": title, "standoff": 8, "font": {"size": 12.5, "color": INK_2}},
        # "power" would set raised digits with style attributes, which the page forbids.
        "exponentformat": "e",
    }
    return {**quiet, **more}


def log_axis(title: str, low: float, high: float, **more: Any) -> dict[str, Any]:
    """A logarithmic axis over `low` to `high` with a label at each decade, or at 1, 2, 5."""
    begin, end = math.log10(low), math.log10(high)
    first, last = math.floor(begin), min(math.ceil(end), sys.float_info.max_10_exp)
    steps = (1,) if last - first > 2 else (1, 2, 5)
    apart = math.ceil((last - first) / MOST_DECADES) or 1
    ticks = [step * 10.0**power for power in range(first, last + 1, apart) for step in steps]
    shown = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001 and tick < math.inf]
    if len(shown) < 2:  # less than a step: round numbers, as on a linear axis
        shown = nice_ticks(low, high)[0]
    pad = 0.03 * (end - begin)
    ends = [max(begin - pad, _LEAST), min(end + pad, _MOST)]
    labels = [
        f"{tick:g}" if tick >= 1e-3 else f"{tick:.0e}".replace("e-0", "e-") for tick in shown
    ]
    return axis(
        title, **{"type": "log", "tickvals": shown, "ticktext": labels, "range": ends, **more}
    )


def nice_ticks(
    low: float, high: float, *, log: bool = False, about: int = 5
) -> tuple[list[float], list[str]]:
    """Round numbers within a range, `about` so many of a linear one, and how they are written."""
    if log:
        shown = log_axis("", low, high)
        return shown["tickvals"], shown["ticktext"]
    rough = high / about - low / about
    size = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * size for factor in (1, 2, 5) if factor * size >= rough), 10 * size)
    first = math.ceil(low / step - 1e-9)
    ticks = [multiple * step for multiple in range(first, math.floor(high / step + 1e-9) + 1)]
    return ticks, [f"{tick:.6g}" for tick in ticks]


def layout(**more: Any) -> dict[str, Any]:
    """The layout that every figure starts from; the script fills in the page's font."""
    shared = {
        "margin": {"l": 56, "r": 14, "t": 10, "b": 46},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 12.5, "color": INK_2},
        "hoverlabel": {
            "bgcolor": SURFACE,
            "bordercolor": LINE,
            "font": {"color": INK, "size": 12.5},
            "align": "left",
        },
        "hovermode": "closest",
        "showlegend": False,
        "dragmode": "zoom",
        "uirevision": "keep",
        "xaxis": axis(),
        "yaxis": axis(),
    }
    merged = {**shared, **more}
    for name in merged:
        if name.startswith("yaxis"):
            # Labels beside a frame fit: measuring each to hide what sticks out only takes time.
            merged[name] = {"ticklabeloverflow": "allow", **merged[name]}
    return merged


def plain(values: Iterable[float] | NDArray[Any]) -> list[float | int | None]:
    """Numbers that JSON can hold: non-finite ones become None, which breaks a line there."""
    return [_plain(value) for value in np.asarray(values).tolist()]


def _plain(value: float | int | None) -> float | int | None:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return float(f"{value:.{DRAWN_DIGITS}g}") if isinstance(value, float) else value


def text_of(value: object) -> str:
    """A hyperparameter's value as a hover label writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)


def annotation(text: str, **more: Any) -> dict[str, Any]:
    """A word inside a figure."""
    quiet = {"text": text, "showarrow": False, "font": {"size": 12, "color": INK_2}}
    return {**quiet, **more}


def escaped(text: str) -> str:
    """Text for a label: Plotly reads tags such as <b> and <br> in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(text: str, most: int = 32) -> str:
    """The beginning and the end of a long name."""
    if len(text) <= most:
        return text
    return f"{text[: most - 9]}…{text[-8:]}"
