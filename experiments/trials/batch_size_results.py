"""Results of a batch-size measurement: throughput by size, and the size to take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.analysis.curves.throughput import choose_batch

BUSY = 0.3  # share of the processors that others use
UNSTEADY = 0.25  # range of repeats over their median
_RANGE_OF_THREE = 1.69  # expected range of three normal values, in standard deviations

_WHY = {
    "memory": "Memory ended",
    "data": "The data ended",
    "failed": "The measurement failed",
}


def measured(rows: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Examples per second by batch size, of the sizes that could be measured."""
    return {
        int(row["batch"]): float(row["examples_per_second"])
        for row in rows
        if row.get("examples_per_second")
    }


def answer(rows: Sequence[Mapping[str, Any]]) -> str:
    """Batch size to take, and the reason that nothing larger was tried.

    rows: batch, examples_per_second, ended and reason of each size, in the order of measurement.
    """
    rates = measured(rows)
    choice = choose_batch(rates, noise(rows))
    last = rows[-1] if rows else None
    why = ""
    if last is not None and last["ended"]:
        why = f" {_WHY[last['ended']]} at {last['batch']}: {last['reason']}."
    elif len(rates) > 1:
        why = f" From {rows[-2]['batch']} to {rows[-1]['batch']} throughput hardly rose."
        if choice is not None and choice.doublings and choice.doublings[-1].factor >= 1.2:
            why = f" Throughput still rose at {rows[-1]['batch']}, the largest size tried."
    if choice is None:
        return f"No batch size could be measured.{why}"
    return (
        f"Take {choice.batch}: the smallest size within 5 % of the highest throughput "
        f"({choice.throughput:,.0f} examples/s).{why}{_unrest(rows)} Tune the learning rate again "
        "with it, and compare sizes by the same number of steps."
    )


def noise(rows: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Relative standard error of each size's throughput, of sizes that were measured repeatedly.

    From the range of the repeats, as of few normal values.
    """
    return {
        int(row["batch"]): float(row["spread"]) / _RANGE_OF_THREE / math.sqrt(row["repeats"])
        for row in rows
        if row.get("repeats", 1) > 1
    }


def _unrest(rows: Sequence[Mapping[str, Any]]) -> str:
    """Hint that the machine had other work, so that somebody measures again."""
    busy = max((float(row.get("busy") or 0.0) for row in rows), default=0.0)
    spread = max((float(row.get("spread") or 0.0) for row in rows), default=0.0)
    if busy < BUSY and spread < UNSTEADY:
        return ""
    return (
        f" The machine was busy: others used up to {busy:.0%} of its processors, and repeats of "
        f"one size differ by up to {spread:.0%}. Measure again when it is idle."
    ).replace("%", " %")
