"""The rows of a benchmark and how they are printed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; None where nothing was measured or nothing compares."""

    what: str
    ours: float | None
    peer: float | None
    ratio: float | None
    unit: str
    goal: str
    met: bool | None


def row(
    what: str,
    ours: float | None,
    peer: float | None = None,
    unit: str = "share",
    goal: str = "printed",
    met: bool | None = None,
) -> Row:
    ratio = ours / peer if ours is not None and peer else None
    return Row(what, ours, peer, ratio, unit, goal, met)


def markdown(rows: Iterable[Row]) -> str:
    lines = ["| what | ours | peer | ratio | unit | goal | |", "|---|---:|---:|---:|---|---|---|"]
    for one in rows:
        numbers = [
            "" if value is None else f"{value:.4g}" for value in (one.ours, one.peer, one.ratio)
        ]
        met = {True: "met", False: "short", None: ""}[one.met]
        lines.append(f"| {' | '.join([one.what, *numbers, one.unit, one.goal, met])} |")
    return "\n".join(lines)


def as_text(rows: Iterable[Row], *, as_json: bool) -> str:
    """A table for people, or one JSON object a line."""
    if as_json:
        return "\n".join(json.dumps(asdict(one)) for one in rows)
    return markdown(rows)
