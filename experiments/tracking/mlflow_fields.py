"""Fields of MLflow's requests: read, checked, refused in the words that its clients match on.

The service's messages are protocol buffers written as JSON: an empty text is an absent one, and
whole numbers may come as texts.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.tracking.mlflow_errors import MlflowError, invalid, missing, too_long, wrong_type

MOST_METRICS, MOST_PARAMS = 1000, 100  # of one batch; of tags as many as of params
MOST_TOGETHER = 1000
LONGEST_KEY, LONGEST_PARAM, LONGEST_TAG = 250, 6000, 8000
LONGEST_EXPERIMENT, LONGEST_EXPERIMENT_TAG = 500, 5000
_NAME = re.compile(r"[/\w.\- :]*")
_CHARACTERS = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.),"
    " spaces ( ), colon(:) and slashes (/)."
)
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_INT64 = 2**63


class Fields:
    """The fields of a request: of its JSON body, or of its query, where all are texts."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.entry = entry

    def text(self, name: str, *, needed: bool = False) -> str:
        """A text; empty when it is absent and not needed."""
        value = self.entry.get(name)
        if value is None or value == "":
            if needed:
                raise missing(name)
            return ""
        if not isinstance(value, str):
            raise wrong_type(name, value)
        return value

    def run_id(self) -> str:
        """The run's id; `run_uuid` is its old name."""
        for name in ("run_id", "run_uuid"):
            if self.entry.get(name) not in (None, ""):
                return self.text(name)
        raise missing("run_id")

    def whole(self, name: str, default: int | None = None) -> int | None:
        """A whole number of 64 bits, or the default when it is absent."""
        value = self.entry.get(name)
        if value is None:
            return default
        found = whole_number(value)
        if found is None:
            raise wrong_type(name, value)
        return found

    def within(self, name: str, least: int, most: int, default: int) -> int:
        """A whole number from `least` to `most`."""
        found = self.whole(name, default)
        if found is None or not least <= found <= most:
            why = f" It must be at most {most}, but got value {found}"
            if found is not None and found < least:
                why = f" It must be at least {least}, but got value {found}"
            raise invalid(name, self.entry.get(name), why)
        return found

    def items(self, name: str) -> list[dict[str, Any]]:
        """A list of objects."""
        value = self.entry.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(element, dict) for element in value):
            raise wrong_type(name, value)
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts; numbers are taken for texts, as ids come either way."""
        value = self.entry.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(
            type(element) in (str, int) for element in value
        ):
            raise wrong_type(name, value)
        return [str(element) for element in value]


def whole_number(value: object) -> int | None:
    """A whole number of 64 bits as JSON or a query tells it; None for what is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        if not re.fullmatch(r"[-+]?\d{1,20}", value):
            return None
        value = int(value)
    if type(value) is not int or not -_INT64 <= value < _INT64:
        return None
    return value


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric; `time_ms` since 1970."""

    key: str
    value: float
    time_ms: int
    step: int


def name_of(value: object, path: str) -> str:
    """The name of a metric, parameter or tag."""
    if value is None or value == "":
        raise missing(path)
    if not isinstance(value, str):
        raise invalid(path, value, f" Hint: Value was of type '{type(value).__name__}'.")
    if not _NAME.fullmatch(value):
        raise invalid(path, value, _CHARACTERS)
    norm = posixpath.normpath(value)
    if norm != value or norm == "." or norm.startswith(("..", "/")):
        raise invalid(
            path,
            value,
            "Names may be treated as files in certain cases, and must not resolve to other names"
            f" when treated as such. This name would resolve to {norm!r}",
        )
    return value


def point_of(entry: Mapping[str, Any], path: str = "") -> Point:
    """A point of a metric."""
    at = f"{path}." if path else ""
    key = name_of(entry.get("key"), f"{at}key" if path else "key")
    value = _number(entry.get("value"), f"{at}value")
    time_ms = _whole(entry.get("timestamp"), f"{at}timestamp", needed=True)
    if time_ms < 0:
        why = f"metric '{key}' (value={value}). Timestamp must be a nonnegative long"
        raise invalid(f"{at}timestamp", time_ms, f"{why} (64-bit integer) ")
    if len(key) > LONGEST_KEY:
        raise too_long("Metric name", LONGEST_KEY)
    return Point(key, value, time_ms, _whole(entry.get("step"), f"{at}step"))


def _number(value: object, name: str) -> float:
    if value is None or value == "":
        raise missing(name)
    if isinstance(value, str):
        if value in _WORDS:
            return _WORDS[value]
        try:
            return float(value)
        except ValueError:
            pass
    if type(value) in (int, float):
        try:
            return float(value)  # type: ignore[arg-type]
        except OverflowError:
            pass
    raise wrong_type(name, value)


def _whole(value: object, name: str, *, needed: bool = False) -> int:
    if value is None:
        if needed:
            raise missing(name)
        return 0
    found = whole_number(value)
    if found is None:
        raise wrong_type(name, value)
    return found


def parameter_of(entry: Mapping[str, Any], path: str = "") -> tuple[str, str]:
    """Name and text of a parameter."""
    at = f"{path}." if path else ""
    key = name_of(entry.get("key"), f"{at}key")
    value = _text(entry.get("value"), f"{at}value")
    if len(key) > LONGEST_KEY:
        raise too_long("Param key", LONGEST_KEY)
    if len(value) > LONGEST_PARAM:
        raise too_long("Param value", LONGEST_PARAM)
    return key, value


def tag_of(
    entry: Mapping[str, Any], path: str = "", *, longest: int = LONGEST_TAG
) -> tuple[str, str]:
    """Name and text of a tag."""
    at = f"{path}." if path else ""
    key = name_of(entry.get("key"), f"{at}key")
    value = _text(entry.get("value"), f"{at}value")
    if len(key) > LONGEST_KEY:
        raise too_long(f"{at}key", LONGEST_KEY)
    if len(value) > longest:
        raise too_long(f"{at}value", longest)
    return key, value


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong_type(name, value)
    return value


@dataclass(frozen=True, slots=True)
class LoggedBatch:
    """Metrics, parameters and tags that one request logs to a run."""

    points: tuple[Point, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def batch_of(fields: Fields) -> LoggedBatch:
    """The metrics, parameters and tags of a batch.

    Raises:
        MlflowError: naming the first that is wrong, or the limit that is passed.
    """
    metrics, params, tags = (fields.items(name) for name in ("metrics", "params", "tags"))
    for index, metric in enumerate(metrics):
        if metric.get("timestamp") is None or metric.get("value") is None:
            lost = "value" if metric.get("value") is None else "timestamp"
            raise invalid("metrics", metrics, f" Missing value for metrics[{index}].{lost}")
    for name, most, found in (
        ("metrics", MOST_METRICS, len(metrics)),
        ("params", MOST_PARAMS, len(params)),
        ("tags", MOST_PARAMS, len(tags)),
        ("metrics, params, and tags", MOST_TOGETHER, len(metrics) + len(params) + len(tags)),
    ):
        if found > most:
            raise MlflowError(
                f"A batch logging request can contain at most {most} {name}. Got {found} {name}. "
                f"Please split up {name} across multiple requests and try again."
            )
    pairs = [parameter_of(param, f"params[{index}]") for index, param in enumerate(params)]
    twice = sorted({key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1})
    if twice:
        raise MlflowError(
            f"Duplicate parameter keys have been submitted: {twice}. Please ensure "
            "the request contains only one param value per param key."
        )
    return LoggedBatch(
        points=tuple(point_of(point, f"metrics[{i}]") for i, point in enumerate(metrics)),
        parameters=dict(pairs),
        tags=dict(tag_of(tag, f"tags[{index}]") for index, tag in enumerate(tags)),
    )
