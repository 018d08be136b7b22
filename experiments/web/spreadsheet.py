"""Text in files that people open in a spreadsheet."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def inert(text: str) -> str:
    """The text, with an apostrophe in front where a spreadsheet would run it as a formula (OWASP:
    CSV injection)."""
    return f"'{text}" if text.startswith(_FORMULA) else text
