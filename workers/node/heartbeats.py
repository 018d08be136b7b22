"""Heartbeats of running trials, and control orders in return, in a thread.

A supervisor reads the result at every tick and never waits for the database.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from django.db import DatabaseError, connections

from experiments.trials.lifecycle.services import queue

logger = logging.getLogger(__name__)

SECONDS = 1.0


@dataclass(slots=True, eq=False)
class RunningAttempt:
    """A running attempt. `control` is the order of a person: "" (continue), "stop" or "cancel".

    `fenced`: another attempt has replaced it.
    """

    trial_id: int
    attempt: int
    control: str = ""
    fenced: bool = False
    log_tail: str | None = None  # the newest that is not stored yet
    writing: threading.Lock = field(default_factory=threading.Lock)


class Heartbeats:
    """One for a worker process."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._watched: list[RunningAttempt] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)
        self._thread.start()

    def watch(self, trial_id: int, attempt: int) -> RunningAttempt:
        watched = RunningAttempt(trial_id, attempt)
        self._watched = [*self._watched, watched]
        return watched

    def forget(self, watched: RunningAttempt) -> None:
        """The attempt has ended; nothing is written for it after this returns."""
        self._watched = [other for other in self._watched if other is not watched]
        with watched.writing:
            watched.log_tail = None

    def close(self) -> None:
        self._closing.set()
        self._thread.join(self._seconds + 1)

    def _run(self) -> None:
        try:
            while not self._closing.wait(self._seconds):
                try:
                    for watched in self._watched:
                        self._beat(watched)
                except DatabaseError as error:
                    logger.warning("the database is away, training goes on: %s", error)
                    connections.close_all()
                except Exception:
                    logger.exception("a heartbeat failed")
        finally:
            connections.close_all()

    def _beat(self, watched: RunningAttempt) -> None:
        key = {"trial_id": watched.trial_id, "attempt": watched.attempt}
        control = queue.heartbeat(**key)
        watched.fenced = control is None
        watched.control = control or ""
        with watched.writing:
            tail = watched.log_tail
            if tail is not None and watched in self._watched:
                queue.keep_log_tail(**key, text=tail)
                if watched.log_tail is tail:
                    watched.log_tail = None
