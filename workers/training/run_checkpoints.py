"""Checkpoints of a run; see `Run.save_checkpoint` and `load_checkpoint`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from workers.training.checkpoints import CheckpointSink, CheckpointStore, Loaded
from workers.training.messages import BuiltOnLowerBudget, Job, Resumed, Score
from workers.training.sink import Sink

Memory = dict[str, Any]
Reports = tuple[tuple[float, float], ...]


class RunCheckpoints:
    """Those of one run.

    Args:
        warn: prints a text, once for each key.
    """

    def __init__(self, job: Job, sink: Sink, warn: Callable[[object, str], None]) -> None:
        self._suffix = job.suffix
        self._sink = sink if job.checkpoints and isinstance(sink, CheckpointSink) else None
        self._store = CheckpointStore(job.checkpoints) if job.checkpoints and self._sink else None
        self._warn = warn
        self._kept_at = time.monotonic()

    @property
    def are_kept(self) -> bool:
        """Test whether the trial has a folder for checkpoints."""
        return self._store is not None

    def is_due(self) -> bool:
        """Test whether the last one is old enough."""
        if self._store is None:
            return False
        return time.monotonic() - self._kept_at >= self._store.about.seconds

    def save(
        self, state: Any, *, step: float, score: Score, memory: Memory, generators: Sequence[Any]
    ) -> bool:
        """Write one and report it; False when the disk refused it. Raises CheckpointError."""
        if self._store is None or self._sink is None:
            return False
        counts = not self._suffix  # values of folds and smaller budgets are not compared
        last = score.last_value
        try:
            file = self._store.write(
                state,
                step=step,
                value=last if counts and last is not None and math.isfinite(last) else None,
                memory=memory,
                generators=generators,
                kind="checkpoint" if counts else "pass checkpoint",
            )
        except OSError as error:
            self._warn("disk", f"checkpoint at step {step} not kept: {error.strerror or error}")
            return False
        self._sink.tell(file)
        self._kept_at = time.monotonic()
        return True

    def load(
        self,
        generators: Sequence[Any],
        *,
        remember: Callable[[Memory], Reports],
        from_lower_budget: bool,
    ) -> Any:
        """The state to go on from, None without one.

        `remember` lets the run stand where it stood then, and returns its reports; a lower
        budget's state comes without them.
        """
        if self._store is None or self._sink is None:
            return None
        about = self._store.about
        found = self._read(self._store, generators)
        if found is not None:
            step, origin = found.file.step, found.file.attempt
            reports = remember(found.memory)
            self._sink.tell(Resumed(step, origin, reports, self._suffix, about.finished))
            return found.state
        if from_lower_budget:
            found = self._read(CheckpointStore(replace(about, saved=about.lower)), generators)
            if found is not None:
                self._sink.tell(BuiltOnLowerBudget())
                return found.state
        return None

    def _read(self, store: CheckpointStore, generators: Sequence[Any]) -> Loaded | None:
        loaded = store.read(generators)
        for text in loaded.unreadable if loaded is not None else ():
            self._warn(text, text)
        return loaded if loaded is not None and loaded.memory else None
