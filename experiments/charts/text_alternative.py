"""Text alternatives of charts, for people who hear a page: axes, and how far each line goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

MOST_TRACES = 8
MOST_PAIRS = 12  # of a category and its value that are listed one by one


def text_alternative(across: str, upwards: str, traces: Iterable[str]) -> str:
    """Titles of both axes, then each trace in words; "" is one that has nothing to say."""
    entries = [words for words in traces if words]
    parts = [f"Across: {across}"] * bool(across) + [f"Upwards: {upwards}"] * bool(upwards)
    parts += entries[:MOST_TRACES]
    if len(entries) > MOST_TRACES:
        parts.append(f"And {len(entries) - MOST_TRACES} more")
    return " ".join(f"{words}." for words in parts)


def span_words(name: str, values: ArrayLike) -> str:
    """A trace [N] by its finite points, the span of their values, and the last one."""
    numbers = _finite(values)
    if not numbers:
        return ""
    low, high, last = min(numbers), max(numbers), numbers[-1]
    points = f"{name or 'All'}: {len(numbers)} {'point' if len(numbers) == 1 else 'points'}"
    if len(numbers) == 1:
        return f"{points}, {last:.4g}"
    return f"{points}, from {low:.4g} to {high:.4g}, the last {last:.4g}"


def pairs_words(name: str, categories: Sequence[str], values: ArrayLike) -> str:
    """Few categories [N] one by one with their finite values, many by their span."""
    numbers = np.asarray(values, dtype=np.float64)
    if len(categories) > MOST_PAIRS:
        return span_words(name, numbers)
    listed = ", ".join(
        f"{category} {value:.4g}"
        for category, value in zip(categories, numbers.tolist(), strict=True)
        if np.isfinite(value)
    )
    return f"{name}: {listed}" if name and listed else listed


def colour_words(values: ArrayLike) -> str:
    """The span of what a surface [R, C] shows by colour."""
    numbers = _finite(values)
    return f"By colour: from {min(numbers):.4g} to {max(numbers):.4g}" if numbers else ""


def failure_words(count: int) -> str:
    """Trials that stand at an edge, not at a score."""
    return f"{count} failed" if count else ""


def _finite(values: ArrayLike) -> list[float]:
    numbers = np.asarray(values, dtype=np.float64)
    return [float(number) for number in numbers[np.isfinite(numbers)]]
