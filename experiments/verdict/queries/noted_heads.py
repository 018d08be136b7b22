"""Heads of the decision logs that this node saw, noted where the database's owner cannot write.

An append-only text file beside the key, a line a head: time, project id, slug, number of entries
and hash of the newest one. A log that becomes shorter, or another one, is found by it without
anybody telling the head.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

_logger = logging.getLogger(__name__)
_RESTORED = "restored"  # in front of the reason why a shorter log is the right one


@dataclass(frozen=True, slots=True)
class Head:
    """Length and last hash of a log when somebody noted it."""

    count: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Head:
        """`COUNT:HASH`, as every champion answer and webhook gives them.

        Raises:
            ValueError: for any other text.
        """
        count, _, digest = text.strip().partition(":")
        if not count.isdecimal() or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise ValueError(
                f"expected COUNT:HASH with a hash of 64 hexadecimal digits, got {text!r}"
            )
        return cls(int(count), digest)


@dataclass(frozen=True, slots=True)
class NotedHead:
    """The longest head of a project's log that was noted here, and under which name."""

    slug: str
    head: Head


def noted_heads() -> dict[int, NotedHead]:
    """By project id. Read it before the log: what was noted by then is in the log by then."""
    try:
        found = settings.DECISION_HEADS.stat()
    except FileNotFoundError:
        return {}
    return _read(settings.DECISION_HEADS, found.st_mtime_ns, found.st_size)


def note_head(project_id: int, slug: str, head: Head) -> None:
    """Append a head that is longer than any noted before; call it outside of a transaction."""
    before = noted_heads().get(project_id)
    if head.count > (before.head.count if before else 0):
        _append(project_id, slug, head)


def note_restored_head(project_id: int, slug: str, head: Head, reason: str) -> None:
    """Append a head that takes the place of longer ones: an older backup was restored."""
    _append(project_id, slug, head, _RESTORED, *reason.split())


def _append(project_id: int, slug: str, head: Head, *words: str) -> None:
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    line = " ".join((now, str(project_id), slug, f"{head.count}:{head.hash}", *words))
    try:
        # One write of one line: of two processes at once neither tears the other's.
        descriptor = os.open(
            settings.DECISION_HEADS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
        )
        try:
            os.write(descriptor, f"{line}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        _logger.error("the head of %s is not noted: %s: %s", slug, settings.DECISION_HEADS, error)


@lru_cache(maxsize=4)
def _read(path: Path, changed_at: int, size: int) -> dict[int, NotedHead]:
    """The file as it is at this size; a line that a power cut has torn says nothing."""
    found: dict[int, NotedHead] = {}
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                _, project, slug, head, *words = line.split()
                noted = NotedHead(slug, Head.parse(head))
            except ValueError:
                continue
            before = found.get(int(project))
            if before is None or words[:1] == [_RESTORED] or noted.head.count > before.head.count:
                found[int(project)] = noted
    return found
