"""Lineage of a resumed trial's curve: which points of which attempt it consists of.

An attempt that went on from a checkpoint continues the curve at the checkpoint's step: what
earlier attempts logged up to it stands, what they logged after it was trained again. An attempt
that began anew has a curve of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

NONE, ALL = -(2**63) - 1, 2**63 - 1  # beyond any step
_LOWER = "lower"  # the key that says that a run went on from the checkpoint of a lower budget


@dataclass(frozen=True, slots=True)
class Resumption:
    """Checkpoint at which an attempt took a trial up; attempt `origin` wrote it.

    Of a trial of several passes `finished` holds the suffixes of those whose curves stand whole
    and `suffix` that of the pass it went on in, "" for names without one. `step` is the
    checkpoint's, None where that pass began anew.
    """

    step: float | None
    origin: int
    suffix: str = ""
    finished: tuple[str, ...] = ()

    def last_step(self, name: str) -> float:
        """The last step that counts of a series of the attempts before: up to `ALL` or `NONE`."""
        if any(name.endswith(metric) for metric in self.finished):
            return ALL
        if self.step is None or (self.suffix and not name.endswith(self.suffix)):
            return NONE
        return self.step


def resumptions(text: str) -> dict[int, Resumption]:
    """Attempts that went on from a checkpoint, as a trial's record has it.

    A step alone stands for a checkpoint of the attempt just before.
    """
    found = {}
    for key, stored in json.loads(text).items():
        if key == _LOWER:
            continue
        attempt = int(key)
        if isinstance(stored, int):
            found[attempt] = Resumption(stored, attempt - 1)
        else:
            step, origin, *rest = stored
            suffix, finished = rest or ("", ())
            found[attempt] = Resumption(step, origin, suffix, tuple(finished))
    return found


def with_resumption(text: str, attempt: int, resumption: Resumption) -> str:
    """The record with one more attempt.

    The one before may have died before it got as far as the checkpoint that was there already,
    which is why each names its origin.
    """
    stored: list[object] = [resumption.step, resumption.origin]
    if resumption.suffix or resumption.finished:
        stored += [resumption.suffix, list(resumption.finished)]
    return json.dumps({**json.loads(text), str(attempt): stored})


def with_lower_budget(text: str) -> str:
    """The record of a run that went on from the checkpoint of a lower budget."""
    return json.dumps({**json.loads(text), _LOWER: True})


def from_lower_budget(text: str) -> bool:
    """Test whether a run on one budget went on from the checkpoint of a lower one."""
    return bool(json.loads(text).get(_LOWER))


def on_the_curve(
    newest: int, resumed: Mapping[int, Resumption]
) -> dict[int, tuple[Resumption, ...]]:
    """Attempts with points on the curve -> the resumptions that bound what of theirs counts."""
    spans: dict[int, tuple[Resumption, ...]] = {newest: ()}
    attempt = newest
    while attempt in resumed and resumed[attempt].origin < attempt:
        origin = resumed[attempt].origin
        spans[origin] = (*spans[attempt], resumed[attempt])
        attempt = origin
    return spans


def last_step(name: str, bounds: Iterable[Resumption]) -> float:
    """The last step of a series that all bounds let stand; `ALL` or `NONE` of them."""
    return min((bound.last_step(name) for bound in bounds), default=ALL)
