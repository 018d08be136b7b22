"""Recorder of checkpoints and files: stores a run's messages in order, in a thread.

A checkpoint counts only when all points before it are in the database: a trial that goes on from
it must not have a gap in its curve. While the database is away, records wait; where many do, the
oldest checkpoints among them are dropped, so that a disk never fills by them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import cast

from django.db import connections

from experiments.errors import VerdictError
from experiments.trials.artifacts.services import artifacts, files
from experiments.trials.artifacts.services.artifacts import NewFile
from experiments.trials.artifacts.storage import StorageAway
from experiments.trials.series.lineage import Resumption
from experiments.trials.series.services import series
from workers.delivery.database_away import is_away
from workers.delivery.series_uploader import SeriesUploader, Undelivered
from workers.training.messages import (
    BuiltOnLowerBudget,
    CheckpointFile,
    LoggedFile,
    OutputFile,
    Resumed,
    StoredMessage,
)

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
STORE_SECONDS = 600.0  # how long files wait for a store that is away
MOST_WAITING = 8  # checkpoints of one trial
_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Announced:
    trial_id: int
    attempt: int
    message: StoredMessage


class CheckpointRecorder:
    """One for a worker process."""

    def __init__(self, uploader: SeriesUploader) -> None:
        self._uploader = uploader
        self._queue: deque[_Announced] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._away_since = 0.0  # the store, by time.monotonic(); 0.0 while it answers
        self._thread = threading.Thread(target=self._run, name="checkpoint recorder", daemon=True)
        self._thread.start()

    def put(self, trial_id: int, attempt: int, message: StoredMessage) -> None:
        """Enqueue a message; never waits for the database."""
        dropped = None
        with self._changed:
            self._queue.append(_Announced(trial_id, attempt, message))
            waiting = [
                queued
                for queued in self._queue
                if queued.trial_id == trial_id and _may_be_dropped(queued.message)
            ]
            if len(waiting) > MOST_WAITING:
                dropped = waiting[1]  # the first one may be in the making of its record
                self._queue.remove(dropped)
            self._changed.notify_all()
        if dropped is not None and isinstance(dropped.message, CheckpointFile):
            artifacts.remove_files([dropped.message.path])

    def wait(self, trial_id: int, attempt: int, *, give_up: threading.Event) -> None:
        """Wait until all messages of an attempt are recorded, or `give_up` is set."""
        with self._changed:
            while not give_up.is_set() and any(
                (message.trial_id, message.attempt) == (trial_id, attempt)
                for message in self._queue
            ):
                self._changed.wait(0.1)

    def close(self) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                with self._changed:
                    while not self._queue and not self._closing.is_set():
                        self._changed.wait()
                    announced = self._queue[0] if self._queue else None
                if announced is not None and self._record(announced):
                    with self._changed:
                        self._queue.popleft()
                        self._changed.notify_all()
                    if not self._queue:
                        connections.close_all()
        finally:
            connections.close_all()

    def _record(self, announced: _Announced) -> bool:
        """Record a message; False to retry."""
        try:
            self._write(announced)
        except Undelivered as error:
            if self._closing.is_set():
                return False
            self._refuse(announced, error)
        except VerdictError as error:  # the attempt was fenced, or the trial has ended
            self._refuse(announced, error)
        except StorageAway as error:
            return self._store_is_away(announced, error)
        except Exception as error:
            if is_away(error):
                logger.warning("the database is away, records of checkpoints wait: %s", error)
                connections.close_all()
                self._closing.wait(RETRY_SECONDS)
                return False
            logger.exception("a checkpoint of trial %s could not be recorded", announced.trial_id)
            self._refuse(announced, error)
        self._away_since = 0.0
        return True

    def _store_is_away(self, announced: _Announced, error: StorageAway) -> bool:
        """Wait before a retry; give the file up after STORE_SECONDS, with a warning."""
        self._away_since = self._away_since or time.monotonic()
        if time.monotonic() - self._away_since > STORE_SECONDS:
            self._refuse(announced, error)
            return True
        logger.warning("the store of files is away, they wait: %s", error)
        self._closing.wait(RETRY_SECONDS)
        return False

    def _write(self, announced: _Announced) -> None:
        message = announced.message
        if isinstance(message, Resumed):
            series.resume(
                trial_id=announced.trial_id,
                attempt=announced.attempt,
                resumption=Resumption(
                    message.step, message.origin, message.suffix, message.finished
                ),
            )
            return
        if isinstance(message, BuiltOnLowerBudget):
            series.build_on_lower_budget(trial_id=announced.trial_id, attempt=announced.attempt)
            return
        if isinstance(message, LoggedFile):
            files.keep(
                trial_id=announced.trial_id,
                name=message.name,
                file=NewFile(message.path, message.size, message.sha256, message.step),
                kind=cast(files.LoggedKind, message.kind),  # `keep` checks it
                attempt=announced.attempt,
            )
            return
        if isinstance(message, OutputFile):
            artifacts.keep_file(
                trial_id=announced.trial_id,
                attempt=announced.attempt,
                file=NewFile(message.path, message.size, message.sha256),
                kind=message.kind,
            )
            return
        self._uploader.reach(announced.trial_id, announced.attempt, give_up=self._closing)
        artifacts.keep_checkpoint(
            trial_id=announced.trial_id,
            attempt=announced.attempt,
            file=NewFile(message.path, message.size, message.sha256, message.step, message.value),
            kind=message.kind,
        )

    def _refuse(self, announced: _Announced, error: Exception) -> None:
        logger.warning("trial %s attempt %s: %s", announced.trial_id, announced.attempt, error)
        if isinstance(announced.message, CheckpointFile | LoggedFile):
            artifacts.remove_files([announced.message.path])


def _may_be_dropped(message: StoredMessage) -> bool:
    """Test whether a newer message replaces this one: the progress of finished passes."""
    return isinstance(message, CheckpointFile) and message.kind != "progress"
