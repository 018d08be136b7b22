"""A sparkline: a few means with their spread, small enough to stand beside a number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, EDGE = 132, 36, 5  # pixels


@dataclass(frozen=True, slots=True)
class Spark:
    """A mean at (`x`, `y`) and its spread from `low` down to `high`, in pixels."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Sparkline:
    """Marks from left to right; `points` joins them as SVG's polyline wants."""

    marks: tuple[Spark, ...]
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def points(self) -> str:
        return " ".join(f"{mark.x:g},{mark.y:g}" for mark in self.marks)


def sparkline(
    means: Sequence[float | None], deviations: Sequence[float | None]
) -> Sparkline | None:
    """Means, oldest first, each with one standard deviation either way; higher is up.

    Those without a finite mean are left out; None where that leaves nothing.
    """
    finite = [
        (mean, spread if spread is not None and math.isfinite(spread) else 0.0)
        for mean, spread in zip(means, deviations, strict=True)
        if mean is not None and math.isfinite(mean)
    ]
    if not finite:
        return None
    lowest = min(mean - spread for mean, spread in finite)
    highest = max(mean + spread for mean, spread in finite)
    span = highest - lowest

    def upwards(value: float) -> float:
        share = (value - lowest) / span if 0 < span < math.inf else 0.5
        return round(HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE), 1)

    step = (WIDTH - 2 * EDGE) / (len(finite) - 1) if len(finite) > 1 else 0.0
    return Sparkline(
        tuple(
            Spark(
                round(EDGE + step * place, 1),
                upwards(mean),
                upwards(mean - spread),
                upwards(mean + spread),
            )
            for place, (mean, spread) in enumerate(finite)
        )
    )
