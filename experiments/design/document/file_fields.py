"""Read one field of an experiment file, naming what is wrong and what would be right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from experiments.errors import Problem


def unknown_keys(
    found: Mapping[str, Any], known: Any, prefix: str, problems: list[Problem]
) -> None:
    for key in found:
        if key not in known:
            problems.append(
                Problem(f"{prefix}{key_text(key)}", f"unknown key; want one of {', '.join(known)}")
            )


def mapping(document: Mapping[str, Any], key: str, problems: list[Problem]) -> Mapping[str, Any]:
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        problems.append(Problem(key, "want a mapping"))
        return {}
    return value


def text(
    document: Mapping[str, Any],
    key: str,
    problems: list[Problem],
    *,
    required: bool = False,
    longest: int = 200,
) -> str:
    value = document.get(key)
    if value is None or (isinstance(value, str) and not value.strip()):
        if required:
            problems.append(
                Problem(
                    key,
                    "is missing; say in a sentence what you want to learn"
                    if key == "goal"
                    else "is missing",
                )
            )
        return ""
    if not isinstance(value, str):
        problems.append(Problem(key, f"found {short(value)}, want text"))
        return ""
    if len(value) > longest or "\x00" in value:
        problems.append(Problem(key, f"want at most {longest} characters and no NUL"))
        return ""
    return value.strip()


def whole(
    found: Mapping[str, Any],
    where: str,
    problems: list[Problem],
    *,
    low: int,
    high: int,
    default: int | None = None,
) -> int:
    key = where.rpartition(".")[2]
    value = found.get(key, default)
    if value is None:
        problems.append(Problem(where, f"is missing; want a whole number from {low} to {high}"))
        return low
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        problems.append(
            Problem(where, f"found {short(value)}, want a whole number from {low} to {high}")
        )
        return low
    return value


def is_number(value: Any) -> bool:
    """Whether a value is a number that a float can hold, and finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def short(value: Any, longest: int = 60) -> str:
    """A value as Python writes it, for a message: never long, whatever it is."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**longest:
        return f"a whole number of {value.bit_length()} bits"  # Python refuses to write long ones
    if isinstance(value, (list, tuple, Mapping)) and len(value) > longest:
        return f"{'a mapping' if isinstance(value, Mapping) else 'a list'} of {len(value)}"
    try:
        text = repr(value[: longest + 1] if isinstance(value, (str, bytes)) else value)
    except ValueError:  # a long whole number inside
        return f"a {type(value).__name__}"
    return text if len(text) <= longest else text[: longest - 3] + "..."


def key_text(key: Any, longest: int = 200) -> str:
    """A key as a message names it."""
    text = key if isinstance(key, str) else short(key, longest)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def check_texts(document: Any, problems: list[Problem]) -> None:
    """Add every text that cannot be stored: with NUL, or half of a surrogate pair."""
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, Mapping):
            prefix = f"{where}." if where else ""
            for key, each in value.items():
                at = f"{prefix}{key_text(key)}"
                waiting.append((at, each))
                if isinstance(key, str) and not _storable(key):
                    problems.append(Problem(ascii(at)[1:-1], "holds NUL or half a character"))
        elif isinstance(value, list):
            waiting += [(f"{where}.{index + 1}", each) for index, each in enumerate(value)]
        elif isinstance(value, str) and not _storable(value):
            problems.append(Problem(where, "holds NUL or half a character; leave them out"))


def _storable(text: str) -> bool:
    try:
        return "\x00" not in text and bool(text.encode() or True)
    except UnicodeEncodeError:
        return False
