"""Encoding of a trial's parameters, attributes, values and reports in its row.

Text columns hold JSON whose keys keep their order. A float that JSON cannot say is tagged,
`{"$float": "nan"}`, and a key that begins with a dollar sign gets a second one, so that whatever
JSON can hold comes back as it went in, under every database and every JSON reader.

Reports of a finished trial lie in one blob: a version byte, then step (int64) and value (float64)
of each report, big-endian, by step. PostgreSQL can build the same bytes by itself.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)

Parameter = tuple[Any, BaseDistribution]  # value as the objective sees it, where it came from

REPORTS_VERSION = b"\x01"
_REPORT = struct.Struct(">qd")
_TAG = "$float"
_write = json.JSONEncoder(allow_nan=False, separators=(",", ":"), check_circular=False).encode
_read = json.JSONDecoder().decode


def encode(value: Any) -> str:
    """JSON text of a value; tuples become lists and keys text, as JSON has it.

    Raises:
        TypeError: for what JSON cannot hold.
    """
    try:
        text = _write(value)
    except ValueError:  # not finite somewhere
        return _write(_tagged(value))
    return _write(_tagged(value)) if '"$' in text else text


def decode(text: str) -> Any:
    """The value of a text that `encode` made."""
    if text == "{}":
        return {}
    value = _read(text)
    return _untagged(value) if '"$' in text else value


def decode_all(texts: Sequence[str]) -> list[Any]:
    """The values of many texts that `encode` made, read in one go: half the time of one by one."""
    text = f"[{','.join(texts)}]"
    values: list[Any] = _read(text)
    return [_untagged(value) for value in values] if '"$' in text else values


def encode_distribution(distribution: BaseDistribution) -> str:
    """JSON text of a distribution, in the short form that Optuna reads, too."""
    if type(distribution) is FloatDistribution:
        short: dict[str, Any] = {"type": "float", "low": distribution.low}
        short["high"] = distribution.high
        if distribution.step is not None:
            short["step"] = distribution.step
    elif type(distribution) is IntDistribution:
        short = {"type": "int", "low": distribution.low, "high": distribution.high}
        if distribution.step != 1:
            short["step"] = distribution.step
    elif isinstance(distribution, CategoricalDistribution):
        return encode({"type": "categorical", "choices": distribution.choices})
    else:  # a class that Optuna has deprecated
        return distribution_to_json(distribution)
    if distribution.log:
        short["log"] = True
    return encode(short)


@lru_cache(maxsize=4096)
def decode_distributions(text: str) -> Mapping[str, BaseDistribution]:
    """Distributions by parameter. Trials of a study share the text, so they share the result."""
    found = {name: _distribution(document) for name, document in decode(text).items()}
    return MappingProxyType(found)


def encode_parameters(parameters: Mapping[str, Parameter]) -> tuple[str, str]:
    """The texts of the columns `parameters` (name to value) and `distributions`."""
    values, distributions = "{}", "{}"
    for name, (value, distribution) in parameters.items():
        values = with_item(values, name, encode(value))
        distributions = with_item(distributions, name, encode_distribution(distribution))
    return values, distributions


def with_item(text: str, key: str, encoded: str) -> str:
    """The text of an object with one key set; a new key goes last, an old one keeps its place."""
    name = _write("$" + key if key.startswith("$") else key)
    if text == "{}":
        return f"{{{name}:{encoded}}}"
    if f"{name}:" not in text:
        return f"{text[:-1]},{name}:{encoded}}}"
    document = decode(text)
    document[key] = decode(encoded)
    return encode(document)


def encode_values(values: Sequence[float] | None, *, complete: bool = False) -> str | None:
    """Text of the objectives' values; None when none were told.

    Optuna's storages take a complete trial without values: an empty list.
    """
    if values is None:
        return "[]" if complete else None
    return encode([float(value) for value in values])


def decode_values(text: str | None) -> tuple[float, ...] | None:
    """Values as they were told, None when none were."""
    return None if text is None else tuple(float(value) for value in decode(text)) or None


def first_finite(values: Sequence[float] | None) -> float | None:
    """The first objective's value, None when it is missing or not finite."""
    return float(values[0]) if values and math.isfinite(values[0]) else None


def encode_reports(reports: Iterable[tuple[int, float]]) -> bytes | None:
    """The blob of (step, value) pairs, None without any."""
    packed = b"".join(_REPORT.pack(step, value) for step, value in sorted(reports))
    return REPORTS_VERSION + packed if packed else None


def decode_reports(blob: bytes | memoryview | None) -> dict[int, float]:
    """Value by step, in the order of the steps.

    Raises:
        ValueError: when the blob is of a version that this code does not know.
    """
    if blob is None:
        return {}
    view = memoryview(blob)
    if bytes(view[:1]) != REPORTS_VERSION:
        raise ValueError(f"reports of version {bytes(view[:1])!r} cannot be read")
    return dict(_REPORT.iter_unpack(view[1:]))


def _tagged(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_TAG: "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}
    if isinstance(value, dict):
        return {
            f"${key}" if isinstance(key, str) and key.startswith("$") else key: _tagged(member)
            for key, member in value.items()
        }
    if isinstance(value, list | tuple):
        return [_tagged(element) for element in value]
    return value


def _untagged(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) == 1 and _TAG in value:
            return float(value[_TAG])
        return {
            key[1:] if key.startswith("$") else key: _untagged(member)
            for key, member in value.items()
        }
    if isinstance(value, list):
        return [_untagged(element) for element in value]
    return value


def _distribution(document: dict[str, Any]) -> BaseDistribution:
    kind = document.get("type")
    if kind == "categorical":
        return CategoricalDistribution(document["choices"])
    log = document.get("log", False)
    if kind == "int":
        return IntDistribution(
            document["low"], document["high"], log=log, step=document.get("step", 1)
        )
    if kind == "float":
        found = FloatDistribution(document["low"], document["high"], log=log)
        found.step = document.get("step")  # the constructor would round the upper bound again
        return found
    return json_to_distribution(encode(document))
