"""Numbers, counts and times as pages write them."""

from __future__ import annotations

import math
from datetime import datetime

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

DIGITS = 4
MOST_DIGITS = 12  # characters of a mean
NOTHING = "\N{EN DASH}"


def score(value: object) -> str:
    """Four significant digits with their zeros, so that a column lines up: 0.9740."""
    return _number(value, keep_zeros=True)


def number(value: object) -> str:
    """Four significant digits without needless zeros; words and whole numbers as they are."""
    return _number(value, keep_zeros=False)


def signed(value: object) -> str:
    """As `score`, with its sign: +0.0047."""
    text = _number(value, keep_zeros=False)
    return f"+{text}" if isinstance(value, int | float) and value > 0 else text


def difference(value: object, other: object) -> str:
    """A difference of scores with one decimal more than the score beside it: +0.00205.

    So that a column of differences lines up, whatever the size of each.
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        return signed(value)
    text = score(other)
    if "e" in text or not isinstance(other, int | float) or not math.isfinite(other):
        return signed(value)
    return f"{value:+.{len(text.partition('.')[2]) + 1}f}"


def deviation(value: object) -> str:
    """A standard deviation: two significant digits, 0.0047."""
    return _number(value, keep_zeros=True, digits=2)


def mean(value: object, spread: object) -> str:
    """A mean with the decimals of its standard deviation: 0.9645 beside 0.0023."""
    text = deviation(spread)
    numbers = isinstance(value, int | float) and isinstance(spread, int | float)
    if not numbers or not spread or "e" in text or not math.isfinite(value + spread):  # type: ignore[operator]
        return score(value)
    found = f"{value:.{len(text.partition('.')[2])}f}"
    return found if len(found) <= MOST_DIGITS else score(value)


def percent(value: float | None) -> str:
    """A share of one as a percentage: 0.0221 gives 2.2 %."""
    return NOTHING if value is None else f"{_number(100 * value, keep_zeros=False, digits=2)} %"


def _number(value: object, *, keep_zeros: bool, digits: int = DIGITS) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, int) and abs(value) < 10**7:
        return str(value)
    if not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return {math.inf: "infinity", -math.inf: "-infinity"}.get(value, "not a number")
    if value == 0:
        return "0"
    exponent = int(f"{value:.{digits - 1}e}".split("e")[1])
    if not -4 <= exponent < 7:
        mantissa = f"{value:.{digits - 1}e}".split("e")[0]
        mantissa = mantissa if keep_zeros else mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}e{exponent}"
    text = f"{value:.{max(0, digits - 1 - exponent)}f}"
    if not keep_zeros and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text


def duration(seconds: float | None) -> str:
    """A length of time as people say it: 0.4 s, 11 s, 4 min, 1.5 h, 3 days."""
    if seconds is None:
        return NOTHING
    if seconds < 0.95:
        return "under 0.1 s" if seconds < 0.05 else f"{seconds:.1f} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        return f"{_number(seconds / 3600, keep_zeros=False, digits=2)} h"
    return f"{seconds / 86400:.0f} days"


def about(seconds: float | None) -> str:
    """An estimate of time left."""
    if seconds is None:
        return NOTHING
    return "about 1 min" if 50 <= seconds < 90 else f"about {duration(max(1, seconds))}"


def time_range(low: float, high: float) -> str:
    """An estimate with its range: 4 to 6 min, 50 s to 2 min; about 4 min where both read alike."""
    first, last = duration(max(1, low)), duration(max(1, high))
    if first == last:
        return f"about {first}"
    (number, _, unit), (_, _, other) = first.rpartition(" "), last.rpartition(" ")
    return f"{number} to {last}" if unit == other else f"{first} to {last}"


def ago(moment: datetime | None) -> SafeString | str:
    """Time since then in words, with the exact time on hover."""
    if moment is None:
        return NOTHING
    seconds = (timezone.now() - moment).total_seconds()
    if seconds < 45:
        words = "just now"
    elif seconds < 45 * 60:
        words = f"{max(1, round(seconds / 60))} min ago"
    elif seconds < 22 * 3600:
        words = f"{max(1, round(seconds / 3600))} h ago"
    elif seconds < 30 * 86400:
        days = max(1, round(seconds / 86400))
        words = "yesterday" if days == 1 else f"{days} days ago"
    else:
        words = f"{moment:%-d %b %Y}"
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        f"{moment:%-d %B %Y, %H:%M:%S}",
        words,
    )


def moment(value: datetime | None) -> str:
    """A time in full: 21 November 2026, 07:12 UTC."""
    return NOTHING if value is None else f"{value:%-d %B %Y, %H:%M} UTC"


def megabytes(value: float | None) -> str:
    """Memory: 212 MB, 3.4 GB."""
    if value is None:
        return NOTHING
    if value < 1000:
        return f"{value:.0f} MB"
    return f"{_number(value / 1024, keep_zeros=False, digits=3)} GB"


def grouped(count: int) -> str:
    """A count with its thousands set apart: 10,008."""
    return f"{count:,}"


def counted(count: int, words: str) -> str:
    """A count with its noun: `{{ n|counted:"trial,trials" }}`."""
    one, many = words.split(",")
    return f"{count:,} {one if count == 1 else many}"
