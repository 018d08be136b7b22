"""The cursor of an open page: what it has seen, so that only news is sent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from experiments.trials.lifecycle.queries.change_marker import ChangeMarker


@dataclass(frozen=True, slots=True)
class Seen:
    """Cursor of a page: a mark of its words, one of its table, and its curves by trial."""

    words: str = ""
    table: str = ""
    curves: dict[int, tuple[int, int, bool]] | None = None


def write_cursor(words: str, table: str, curves: str) -> str:
    return f"{words}|{table}|{curves}"


def read_cursor(text: str) -> Seen:
    """The cursor of a page; a broken one is that of a page that has seen nothing."""
    words, _, rest = text.partition("|")
    table, _, curves = rest.partition("|")
    found: dict[int, tuple[int, int, bool]] = {}
    for cursor in curves.split(",")[:50]:
        trial, _, place = cursor.partition(":")
        attempt, _, batch = place[:-1].partition(".")
        numbers = (trial, attempt, batch.removeprefix("-"))
        if all(part.isdecimal() and len(part) < 16 for part in numbers) and place[-1] in "rf":
            found[int(trial)] = (int(attempt), int(batch), place[-1] == "f")
    return Seen(words, table, found)


def marks(marker: ChangeMarker) -> tuple[str, str]:
    """Short marks of everything that the words of a page, and its table, are made of."""
    return digest(marker.words), digest(marker.table)


def digest(*values: Any) -> str:
    """A short mark that changes when one of the values does."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:12]
