"""What a training function hands over as a metric: which of it is a name, a number, a step."""

from __future__ import annotations

import operator
from typing import SupportsFloat, SupportsIndex, cast

MAX_NAME = 200  # characters


def to_float(value: object) -> float | None:
    """Anything that `float` takes as one number; None for all else."""
    # float() itself would read "0.5" and take an array of one element for a number.
    if isinstance(value, str | bytes | bytearray) or getattr(value, "ndim", 0) != 0:
        return None
    try:
        return float(cast(SupportsFloat, value))
    except Exception:  # whatever a foreign __float__ raises
        return None


def whole(value: object) -> int | None:
    """A whole number, also one that comes as a float."""
    try:
        return operator.index(cast(SupportsIndex, value))
    except TypeError:
        number = to_float(value)
        return int(number) if number is not None and number.is_integer() else None


def is_name(name: object) -> bool:
    """Whether every database can hold it: not too long, no NUL, no half of a surrogate pair."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= MAX_NAME
        and "\0" not in name
        and not any("\ud800" <= letter <= "\udfff" for letter in name)
    )
