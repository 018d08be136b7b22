"""Validation of logged metrics: names, numbers, steps."""

from __future__ import annotations

import math
import operator
from typing import Protocol, SupportsFloat, SupportsIndex, cast

MAX_NAME = 200  # characters


class _Array(Protocol):
    """Of NumPy, torch, JAX or pandas."""

    def item(self) -> object: ...


def to_float(value: object) -> float | None:
    """Anything that `float` takes as one number, and tensors and arrays of one element, whatever
    their shape; None for all else.
    """
    if isinstance(value, str | bytes | bytearray):
        return None  # float() itself would read "0.5"
    try:
        if getattr(value, "ndim", 0) != 0:
            value = cast(_Array, value).item()  # raises for more elements than one, or none
        return float(cast(SupportsFloat, value))
    except Exception:  # whatever a foreign __float__ raises
        return None


def to_step(value: object) -> float | None:
    """A step as it was told: an int where it is a whole number, a float between two of them.

    None for what is no finite number of 64 bits.
    """
    try:
        step: float = operator.index(cast(SupportsIndex, value))
    except TypeError:
        number = to_float(value)
        if number is None or not math.isfinite(number):
            return None
        step = int(number) if number.is_integer() else number
    return step if -(2**63) <= step < 2**63 else None


def is_name(name: object) -> bool:
    """Test whether any database can hold it: not too long, no NUL, no half of a surrogate pair."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= MAX_NAME
        and "\0" not in name
        and not any("\ud800" <= letter <= "\udfff" for letter in name)
    )
