"""Damage to requests: values, keys, lines and bytes that nobody should send."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np

Rng = np.random.Generator
# What breaks programs: ends of number types, text that no database stores, markup, paths.
EXTREMES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**400, 0.0, -0.0,
    1e308, 5e-324, float("nan"), float("inf"), -float("inf"), "", " ", "\x00", "a\x00b", "\ud800",
    "\U0001f525", "'", '"; DROP TABLE', "<script>", "%00", "%s", "{0}", "../../etc/passwd", "new",
    "null", "1e999", "x" * 300, "x" * 70_000, [], {}, [[]], [None], {"": None},
    {"a": {"b": [1, {"c": None}]}}, "\u0663", "\uff11\uff12", "-5", "0x10", "1_000", "\r\nX: y",
    "\u00e9" * 60, "9" * 5000,
)  # fmt: skip
LINES = (
    "  - ", "{", "}", "[", "]: ", "? ", "!!python/object:os.system x", "&a [*a]", "<<: *a", "\t",
    "---", "search: {trials: 1e400}", "x: .nan", "arms: {a: {}, b: {}}", "stop: {minutes: -1}",
    "epochs: {role: fixed, value: 0x7fffffffffffffffff}", "metrics: []", "first: [{}]",
    "tags: {a: 1}",
)  # fmt: skip


def extreme(rng: Rng) -> Any:
    return copy.deepcopy(EXTREMES[int(rng.integers(len(EXTREMES)))])


def damaged(document: Any, rng: Rng) -> Any:
    """A copy of a document with one to three places changed."""
    found = copy.deepcopy(document)
    for _ in range(int(rng.integers(1, 4))):
        found = _damage_once(found, rng)
    return found


def _damage_once(document: Any, rng: Rng) -> Any:
    places = list(_places(document))
    if not places or rng.random() < 0.03:
        return extreme(rng)
    holder, key = places[int(rng.integers(len(places)))]
    kind = int(rng.integers(5))
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[str(extreme(rng))[:80]] = holder.pop(key)
    elif kind == 2 and isinstance(holder[key], str):
        holder[key] = text(holder[key], rng)
    else:
        holder[key] = extreme(rng)
    return document


def _places(document: Any) -> Any:
    if isinstance(document, dict):
        for key in list(document):
            yield document, key
            yield from _places(document[key])
    elif isinstance(document, list):
        for index in range(len(document)):
            yield document, index
            yield from _places(document[index])


def text(whole: str, rng: Rng) -> str:
    """A text, an experiment file above all, with lines or characters changed."""
    lines = whole.split("\n")
    at = int(rng.integers(len(lines)))
    kind = int(rng.integers(6))
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, lines[int(rng.integers(len(lines)))])
    elif kind == 2:
        lines.insert(at, LINES[int(rng.integers(len(LINES)))])
    elif kind == 3:
        words = lines[at].split(" ")
        words[int(rng.integers(len(words)))] = str(extreme(rng))[:80]
        lines[at] = " ".join(words)
    elif kind == 4:
        start = int(rng.integers(len(whole) + 1))
        return whole[:start] + str(extreme(rng))[:80] + whole[start + int(rng.integers(9)) :]
    else:
        return whole[: int(rng.integers(len(whole) + 1))]
    return "\n".join(lines)


def raw(body: bytes, rng: Rng) -> bytes:
    """Bytes cut, flipped, doubled or put in."""
    at = int(rng.integers(len(body) + 1))
    kind = int(rng.integers(4))
    if kind == 0:
        return body[:at]
    if kind == 1:
        return body[:at] + bytes(rng.integers(0, 256, 4, dtype=np.uint8)) + body[at + 2 :]
    if kind == 2:
        return body + body
    return b"[" * int(rng.integers(1, 3000)) + body[at:]


def as_json(document: Any) -> bytes:
    """JSON as careless programs write it: NaN and half surrogates go through."""
    return json.dumps(document).encode()
