"""Numbers as a report sets them: four significant digits, no noise behind them."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, isfinite, log10


def significant(value: float, digits: int = 4, *, signed: bool = False) -> str:
    """`value` to so many significant digits, trailing zeros dropped: 0.00470012 gives 0.0047.

    Plain notation from 0.00001 to below 10,000,000, scientific outside. Non-finite values are
    written as nan, inf, -inf.
    """
    sign = "+" if signed and value > 0 else ""
    if value == 0:
        return "0"
    if not isfinite(value):
        return f"{sign}{value:g}"
    rounded = float(f"{value:.{digits - 1}e}")
    if not 1e-5 <= abs(rounded) < 1e7:
        return f"{sign}{rounded:.{digits}g}"
    decimals = max(0, digits - 1 - floor(log10(abs(rounded))))
    text = f"{rounded:.{decimals}f}"
    return sign + (text.rstrip("0").rstrip(".") if "." in text else text)


def percent(share: float) -> str:
    """A share of one as a percentage of at most four significant digits: 0.0442 gives 4.42 %."""
    return f"{significant(100 * share)} %"


def listed(parts: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def counted(number: int, noun: str) -> str:
    """1 pair, 2 pairs."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
