"""Checkpoints of a trial of several passes: each belongs to the fold or the budget it is of.

What is known of finished passes lies in a small file of its own, written after each: a trial that
is taken up again goes on in the pass it was in, and the finished ones are not trained again.
"""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from workers.training.checkpoints import CheckpointSink, CheckpointStore
from workers.training.messages import BuiltOnLowerBudget, CheckpointFile, Checkpoints, Resumed

_PASS = re.compile(r"attempt-\d+-pass-(\d+)-")


class PassCheckpoints:
    """One for a trial; every pass gets its own checkpoints from it.

    Args:
        about: the trial's checkpoints, None where it has none.
        sink: receiver of their messages.
    """

    def __init__(self, about: Checkpoints | None, sink: CheckpointSink) -> None:
        self._about = about
        self._sink = sink
        self._origin = 0  # the attempt that knew of the finished passes
        self._newest: dict[int, CheckpointFile] = {}  # of each pass, written by this attempt

    def resume(self) -> dict[str, Any] | None:
        """Last argument of `finish` by an earlier attempt, with the random states of that
        time restored; None when no pass was finished.
        """
        if self._about is None:
            return None
        files = tuple(
            checkpoint for checkpoint in self._about.saved if checkpoint.kind == "progress"
        )
        loaded = CheckpointStore(replace(self._about, saved=files)).read()
        for text in loaded.unreadable if loaded is not None else ():
            print(text, file=sys.stderr, flush=True)
        if loaded is None or not loaded.memory:
            return None
        self._origin = loaded.file.attempt
        return loaded.memory

    def tell_resumed(
        self, *, suffix: str, finished: tuple[str, ...], reports: tuple[tuple[float, float], ...]
    ) -> None:
        """The curves of finished passes go on to stand; the next one begins, unless it loads."""
        self._sink.tell(Resumed(None, self._origin, reports, suffix, finished))

    def of_pass(self, number: int, finished: tuple[str, ...]) -> Checkpoints | None:
        """Checkpoints that one pass may resume from, and where its own go."""
        if self._about is None:
            return None
        below = self._newest.get(number - 1)
        return replace(
            self._about,
            number=number,
            finished=finished,
            saved=self._saved_in(number),
            lower=(below,) if below is not None else self._saved_in(number - 1),
        )

    def note(self, message: CheckpointFile | Resumed | BuiltOnLowerBudget) -> None:
        """Note a checkpoint that a run reported."""
        if isinstance(message, CheckpointFile) and message.kind != "progress":
            self._newest[_number_of(message)] = message

    def finish(self, number: int, memory: dict[str, Any]) -> None:
        """Write the results of finished passes once pass `number` is finished."""
        if self._about is None:
            return
        store = CheckpointStore(replace(self._about, number=number))
        try:
            file = store.write(None, step=number, value=None, memory=memory, kind="progress")
        except OSError as error:
            reason = error.strerror or str(error)
            print(f"pass {number + 1} is not kept as finished: {reason}", file=sys.stderr)
            return
        self._sink.tell(file)

    def _saved_in(self, number: int) -> tuple[CheckpointFile, ...]:
        return tuple(
            checkpoint
            for checkpoint in (self._about.saved if self._about is not None else ())
            if checkpoint.kind != "progress" and _number_of(checkpoint) == number
        )


def _number_of(file: CheckpointFile) -> int:
    """Number of the pass of a file, from its name; -1 when of none."""
    found = _PASS.match(PurePosixPath(file.path).name)
    return int(found.group(1)) - 1 if found else -1
