"""Rows of the table that `verdicts.py` prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `peer` and `ratio` (ours / peer) are None where nothing compares."""

    what: str
    ours: float
    peer: float | None
    ratio: float | None
    unit: str
    goal: str
    met: bool | None


def row(
    what: str,
    ours: float,
    peer: float | None,
    unit: str,
    goal: str = "printed",
    met: bool | None = None,
) -> Row:
    ratio = ours / peer if peer else None
    return Row(what, ours, peer, ratio, unit, goal, met)


def markdown(rows: Iterable[Row]) -> str:
    lines = ["| what | ours | peer | ratio | unit | goal | |", "|---|---:|---:|---:|---|---|---|"]
    for one in rows:
        numbers = [number(value) for value in (one.ours, one.peer, one.ratio)]
        met = {True: "met", False: "short", None: ""}[one.met]
        lines.append(f"| {' | '.join([one.what, *numbers, one.unit, one.goal, met])} |")
    return "\n".join(lines)


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
