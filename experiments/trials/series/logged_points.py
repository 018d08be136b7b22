"""Points as a program sends them over HTTP: read, checked, and test scores set apart.

One element of the list is one log call: `{"step": 12, "time_ms": 1700000000000, "metrics":
{"train_loss": 0.31, "validation_accuracy": "NaN"}}`. JSON has no word for a number that is not
finite: "NaN", "Infinity" and "-Infinity" stand for them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.design.metrics import Metric, is_test
from experiments.errors import Problem, VerdictError
from experiments.trials.series.series_encoding import Call

MOST_POINTS = 100_000  # values of one request
LONGEST_NAME = 200
MOST_PROBLEMS = 100
_WORDS = {
    "nan": float("nan"),
    "infinity": float("inf"),
    "inf": float("inf"),
    "-infinity": float("-inf"),
    "-inf": float("-inf"),
}


class InvalidPoints(VerdictError):
    """The list cannot be read; nothing of it was stored."""

    status = 422


@dataclass(slots=True)
class LoggedPoints:
    """`calls` for a series, the last value of each metric of the test split, and what was left
    out, each name once.
    """

    calls: list[Call] = field(default_factory=list)
    sealed: dict[str, float] = field(default_factory=dict)
    skipped: list[Problem] = field(default_factory=list)
    points: int = 0


def read_points(
    points: Sequence[Any], declared: Mapping[str, Metric], *, now_ms: int
) -> LoggedPoints:
    """Read log calls, oldest first. A bad value costs itself, a bad call the whole list.

    Raises:
        InvalidPoints: naming each call that is none, or when there are too many values.
    """
    read = LoggedPoints()
    problems: list[Problem] = []
    places: dict[object, str] = {}
    for index, point in enumerate(points):
        problem = _problem_of(point, f"points.{index}")
        if problem is None:
            _take(point, index, places, declared, now_ms, read)
        elif len(problems) < MOST_PROBLEMS:
            problems.append(problem)
    if read.points > MOST_POINTS:
        problems.append(
            Problem("points", f"{read.points} values; expected at most {MOST_POINTS} a request")
        )
    if problems:
        raise InvalidPoints("The points have errors; none was stored.", problems)
    return read


def official_values(calls: Sequence[Call], name: str) -> tuple[float, float] | None:
    """The last value of a metric and its step, None without any."""
    for step, _, values in reversed(calls):
        if name in values:
            return values[name], step
    return None


def _problem_of(point: Any, where: str) -> Problem | None:
    if not isinstance(point, dict):
        return Problem(where, 'expected {"step": 1, "metrics": {"train_loss": 0.5}}')
    if _step(point.get("step")) is None:
        return Problem(
            f"{where}.step", f"found {point.get('step')!r:.50}, expected a 64-bit number"
        )
    if not isinstance(point.get("metrics"), dict):
        return Problem(f"{where}.metrics", "expected a mapping of names to numbers")
    if point.get("time_ms") is not None and not _is_int64(point["time_ms"]):
        return Problem(f"{where}.time_ms", "expected whole milliseconds since 1970")
    for key in point:
        if key not in ("step", "metrics", "time_ms"):
            return Problem(f"{where}.{key}", "unknown key; expected step, metrics, time_ms")
    return None


def _step(value: object) -> float | None:
    """A step as it was told, whole ones as int; None for what is none."""
    if type(value) is float and math.isfinite(value) and not value.is_integer():
        return value if abs(value) < 2**63 else None
    whole = int(value) if type(value) is float and math.isfinite(value) else value
    return whole if isinstance(whole, int) and _is_int64(whole) else None


def _is_int64(value: object) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def _take(
    point: dict[str, Any],
    index: int,
    places: dict[object, str],
    declared: Mapping[str, Metric],
    now_ms: int,
    read: LoggedPoints,
) -> None:
    values: dict[str, float] = {}
    for name, given in point["metrics"].items():
        value = given if type(given) is float else _number(given)
        place = places.get(name)
        if place is None:
            place = places[name] = _place(name, declared)
        if place == "series" and value is not None:
            values[name] = value
        elif place == "sealed" and value is not None:
            read.sealed[name] = value
        elif len(read.skipped) < MOST_PROBLEMS:
            _skip(name, given, place, f"points.{index}.metrics", read)
    read.points += len(values)
    if values:
        time_ms = point.get("time_ms")
        read.calls.append(
            (_step(point["step"]) or 0, now_ms if time_ms is None else time_ms, values)
        )


def _place(name: str, declared: Mapping[str, Metric]) -> str:
    if not 0 < len(name) <= LONGEST_NAME or not _storable(name):
        return "refused"
    return "sealed" if is_test(name, declared) else "series"


def _storable(name: str) -> bool:
    """Test whether every database can hold it: no NUL, no half of a surrogate pair."""
    return "\0" not in name and not any("\ud800" <= letter <= "\udfff" for letter in name)


def _number(given: object) -> float | None:
    if isinstance(given, str):
        return _WORDS.get(given.lower())
    if isinstance(given, int | float):
        try:
            return float(given)
        except OverflowError:
            return None
    return None


def _skip(name: str, given: object, place: str, where: str, read: LoggedPoints) -> None:
    text = f"skipped: its name must have 1 to {LONGEST_NAME} characters that a database can hold"
    if place != "refused":
        text = f'skipped: found {given!r:.50}, expected a number, "NaN", "Infinity" or "-Infinity"'
    safe = name[:LONGEST_NAME].encode(errors="replace").decode()
    if all(not skipped.where.endswith(f".metrics.{safe}") for skipped in read.skipped):
        read.skipped.append(Problem(f"{where}.{safe}", text))
