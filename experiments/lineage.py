"""Which points of which attempt make up the curve of a trial that was resumed.

An attempt that went on from a checkpoint continues the curve at the checkpoint's step: what
earlier attempts logged up to it stands, what they logged after it was trained again. An attempt
that began anew has a curve of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping


def resumed_steps(text: str) -> dict[int, int]:
    """Attempt -> step of its checkpoint, as a trial's record has it."""
    return {int(attempt): int(step) for attempt, step in json.loads(text).items()}


def with_resumed(text: str, attempt: int, step: int) -> str:
    """The record with one more attempt."""
    found = {**resumed_steps(text), attempt: step}
    return json.dumps({str(each): found[each] for each in sorted(found)})


def last_steps(newest: int, resumed: Mapping[int, int]) -> dict[int, int | None]:
    """Attempts with points on the curve -> the last step that counts, None for all of them."""
    kept: dict[int, int | None] = {newest: None}
    last: int | None = None
    for attempt in range(newest, 0, -1):
        if attempt not in resumed:
            break
        last = resumed[attempt] if last is None else min(last, resumed[attempt])
        kept[attempt - 1] = last
    return kept
