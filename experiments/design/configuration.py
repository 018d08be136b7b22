"""Configurations in canonical JSON, and their digests."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any


def canonical(
    *,
    objective: str,
    parameters: Mapping[str, Any],
    code: str = "",
    commit: str = "",
    data: Mapping[str, str] | None = None,
) -> str:
    """Canonical JSON of a configuration: sorted keys, no spaces, shortest exact floats.

    `code` is the digest of a Python function's packages; `commit` that of a command's repository,
    or the one that an external program tells. Whole floats are written as floats (1.0), so 1 and
    1.0 differ as they do in training code.

    Raises:
        ValueError: for a value that is not finite.
    """
    return json.dumps(
        {
            "objective": objective,
            "parameters": dict(parameters),
            **({"code": code} if code else {}),
            "commit": commit,
            "data": dict(data or {}),
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def storable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with numbers that are not finite as text, as `canonical` takes them."""
    return {
        name: repr(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in parameters.items()
    }


def short_code(document: str) -> str:
    """First digits of a configuration's code: of its digest, or of a command's commit."""
    configuration = json.loads(document)
    return str(configuration.get("code") or configuration.get("commit") or "")[:10]


def digest(document: str) -> str:
    """SHA-256 of a canonical document, in hexadecimal."""
    return hashlib.sha256(document.encode()).hexdigest()
