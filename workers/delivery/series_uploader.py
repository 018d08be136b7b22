"""Uploader of running trials' series batches to the database, in a thread.

Whoever has a flush puts it here and goes on: a database that is slow or away delays neither the
training process nor the supervisor that heartbeats. Flushes arrive in order, each once: the
database knows a flush by its trial, attempt and number.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from django.db import DatabaseError, DataError, IntegrityError, ProgrammingError, connections

from experiments.trials.series.services import series
from experiments.trials.series.services.series import Batch
from workers.delivery.disk_queue import SUFFIX, DiskQueue, abandoned

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
ADOPT_SECONDS = 60.0  # how often to look for what a dead process has left
GROUP = 64  # flushes of one transaction
GROUP_BYTES = 4 * 2**20
COMPACT_EVERY = 256  # flushes of a trial: a long run must not grow one row each half a second
_CLOSE_SECONDS = 5.0
_NEVER_BETTER = (DataError, IntegrityError, ProgrammingError)

Deliver = Callable[[Sequence[Batch]], object]
Key = tuple[int, int]  # trial, attempt


class Undelivered(Exception):
    """The database did not take all flushes of an attempt; they wait on disk for another try."""


class SeriesUploader:
    """One for a worker process.

    Args:
        folder: where flushes lie that had to wait longer; those that dead processes left there
            are delivered, too.
        deliver: writes flushes, all or none.
    """

    def __init__(self, folder: Path, *, deliver: Deliver = series.append_all) -> None:
        name = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}{SUFFIX}"
        self._folder = folder
        self._queue = DiskQueue(folder / name)
        self._adopted: list[DiskQueue] = []
        self._adopt_at = 0.0
        self._deliver = deliver
        self._waiting: Counter[Key] = Counter()
        self._done: Counter[Key] = Counter()
        self._refused: dict[Key, Exception] = {}
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="series uploader", daemon=True)
        self._thread.start()

    @property
    def memory_bytes(self) -> int:
        """Size of the flushes that wait in memory."""
        return self._queue.memory_bytes

    def put(self, batch: Batch) -> None:
        """Enqueue a batch; never waits for the database."""
        with self._changed:
            self._waiting[batch.trial_id, batch.attempt] += 1
        self._queue.put(batch)
        self._wake.set()

    def wait(self, trial_id: int, attempt: int, *, give_up: threading.Event) -> None:
        """Return when all flushes of an attempt are in the database.

        Raises:
            Undelivered: when `give_up` was set before.
            Exception: what kept the database from ever taking one of them.
        """
        key = (trial_id, attempt)
        with self._changed:
            while self._waiting[key]:
                if give_up.is_set():
                    raise Undelivered(f"{self._waiting[key]} flushes of trial {trial_id} wait")
                self._changed.wait(0.1)
            del self._waiting[key]
            self._done.pop(key, None)
            error = self._refused.pop(key, None)
        if error is not None:
            raise error

    def reach(self, trial_id: int, attempt: int, *, give_up: threading.Event) -> None:
        """Return when all flushes of an attempt that were put by now are in the database.

        Raises:
            Undelivered: when `give_up` was set before, or the database will never take one.
        """
        key = (trial_id, attempt)
        with self._changed:
            wanted = self._done[key] + self._waiting[key]
            while self._done[key] < wanted and key in self._waiting:
                if give_up.is_set():
                    raise Undelivered(f"{self._waiting[key]} flushes of trial {trial_id} wait")
                self._changed.wait(0.1)
            if key in self._refused:
                raise Undelivered(f"a flush of trial {trial_id} was refused")

    def close(self) -> None:
        """Deliver once more; the rest stays on disk."""
        self._closing.set()
        self._wake.set()
        self._thread.join(_CLOSE_SECONDS)
        self._queue.close()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._wake.wait(ADOPT_SECONDS)
                self._wake.clear()
                self._deliver_all()
            self._deliver_queue(self._queue, once=True)
        finally:
            for queue in self._adopted:
                queue.close()
            connections.close_all()

    def _deliver_all(self) -> None:
        self._deliver_queue(self._queue)
        if time.monotonic() >= self._adopt_at and not self._closing.is_set():
            self._adopt_at = time.monotonic() + ADOPT_SECONDS
            self._adopted.extend(abandoned(self._folder))
        while self._adopted and not self._closing.is_set():
            logger.warning("delivering %s flushes of a process that ended", len(self._adopted[0]))
            self._deliver_queue(self._adopted[0])
            if not len(self._adopted[0]):
                self._adopted.pop(0).close()

    def _deliver_queue(self, queue: DiskQueue, *, once: bool = False) -> None:
        """Deliver a queue with retries; with `once` without."""
        while batches := queue.front(GROUP, GROUP_BYTES):
            if self._store(batches):
                queue.drop(len(batches))
                self._delivered(batches)
                continue
            self._queue.spill()
            if once or self._closing.wait(RETRY_SECONDS):
                return

    def _store(self, batches: Sequence[Batch]) -> bool:
        """Store these batches; False to retry."""
        try:
            self._deliver(batches)
        except Exception as error:
            if isinstance(error, DatabaseError) and not isinstance(error, _NEVER_BETTER):
                logger.warning("the database is away, flushes wait: %s", error)
                connections.close_all()
                return False
            if len(batches) > 1:
                return all(self._store([batch]) for batch in batches)
            logger.exception("a flush of trial %s was refused", batches[0].trial_id)
            self._refused[batches[0].trial_id, batches[0].attempt] = error
        for batch in batches:
            if batch.batch % COMPACT_EVERY == COMPACT_EVERY - 1:
                self._compact(batch.trial_id)
        return True

    def _compact(self, trial_id: int) -> None:
        try:
            series.compact(trial_id)
        except Exception:  # they are stored, only in more rows
            logger.exception("flushes of trial %s could not be joined", trial_id)
            connections.close_all()

    def _delivered(self, batches: Sequence[Batch]) -> None:
        with self._changed:
            for batch in batches:
                key = (batch.trial_id, batch.attempt)
                if key in self._waiting:  # not of an adopted queue
                    self._waiting[key] -= 1
                    self._done[key] += 1
            self._changed.notify_all()
