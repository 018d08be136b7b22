"""Which points of which attempt make up the curve of a trial that was resumed.

An attempt that went on from a checkpoint continues the curve at the checkpoint's step: what
earlier attempts logged up to it stands, what they logged after it was trained again. An attempt
that began anew has a curve of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

Resumed = Mapping[int, tuple[int, int]]  # attempt -> step of its checkpoint, attempt that wrote it


def resumed_steps(text: str) -> dict[int, tuple[int, int]]:
    """Which attempts went on from a checkpoint, as a trial's record has it.

    A step alone stands for a checkpoint of the attempt just before.
    """
    return {
        int(attempt): (int(held), int(attempt) - 1)
        if isinstance(held, int)
        else (int(held[0]), int(held[1]))
        for attempt, held in json.loads(text).items()
    }


def with_resumed(text: str, attempt: int, step: int, origin: int | None = None) -> str:
    """The record with one more attempt; `origin` wrote its checkpoint, by default the one before.

    The one before may have died before it got as far as the checkpoint that was there already.
    """
    found = {
        **resumed_steps(text),
        attempt: (step, attempt - 1 if origin is None else origin),
    }
    return json.dumps({str(each): list(found[each]) for each in sorted(found)})


def last_steps(newest: int, resumed: Resumed) -> dict[int, int | None]:
    """Attempts with points on the curve -> the last step that counts, None for all of them."""
    kept: dict[int, int | None] = {newest: None}
    last: int | None = None
    attempt = newest
    while attempt in resumed:
        step, origin = resumed[attempt]
        if origin >= attempt:
            break
        last = step if last is None else min(last, step)
        kept[origin] = last
        attempt = origin
    return kept
