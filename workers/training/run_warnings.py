"""Warnings about a run that do not end it: printed once, and kept."""

from __future__ import annotations

import os
import sys

MAX_WARNINGS = 100
_FORKED = object()


class RunWarnings:
    """The warnings of one run, which belongs to the process that it was made in."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._texts: dict[object, str] = {}

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self._texts.values())

    def add(self, key: object, text: str) -> None:
        """Print and keep a text, once for each key."""
        if key not in self._texts and len(self._texts) < MAX_WARNINGS:
            self._texts[key] = text
            print(text, file=sys.stderr, flush=True)

    def is_forked(self, call: str) -> bool:
        """Test whether this is a process that the training function forked; warn if so."""
        if os.getpid() == self._pid:
            return False
        self.add(
            _FORKED,
            f"run.{call} in the forked process {os.getpid()}: refused, nothing is kept. Only the "
            f"trial's own process {self._pid} logs; hand values over to it, by a queue for one",
        )
        return True
