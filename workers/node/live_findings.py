"""Watches the curves of running trials for divergence, in a thread of its own.

A supervisor hands over each flush and goes on. Points are read as they come; a page shows what
was found with its next news.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db import connections

from experiments.analysis.curves.trial_findings import stability
from experiments.design.metrics import is_test
from experiments.trials.findings.services import findings
from experiments.trials.lifecycle.queries.trial_spec import TrialSpec
from experiments.trials.series.series_encoding import SeriesColumns, decode
from workers.node.declared_series import declared_series, planned_steps
from workers.training.messages import SeriesFlush

logger = logging.getLogger(__name__)

SECONDS = 1.0  # between two looks at a trial, unless a value is not finite
SHARE = 0.01  # of the time that watching may take: long curves are looked at less often


@dataclass(slots=True, eq=False)
class WatchedTrial:
    """A running attempt and its points so far."""

    assignment: TrialSpec
    parameters: Mapping[str, Any]
    flushes: queue.SimpleQueue[SeriesFlush] = field(default_factory=queue.SimpleQueue)
    series: dict[str, SeriesColumns] = field(default_factory=dict)
    next_look: float = 0.0
    fired: frozenset[tuple[str, str]] = frozenset()
    announced: set[str] = field(default_factory=set)
    is_new: bool = True
    writing: threading.Lock = field(default_factory=threading.Lock)


class LiveFindings:
    """One for a worker process."""

    def __init__(
        self, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._watched: list[WatchedTrial] = []
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live findings", daemon=True)
        self._thread.start()

    def watch(self, assignment: TrialSpec, parameters: Mapping[str, Any]) -> WatchedTrial:
        watched = WatchedTrial(assignment, parameters)
        if assignment.kind == "search":
            self._watched = [*self._watched, watched]
        return watched

    def put(self, watched: WatchedTrial, flush: SeriesFlush) -> None:
        """Take a flush over; never waits."""
        watched.flushes.put(flush)
        self._news.set()

    def forget(self, watched: WatchedTrial) -> None:
        """The attempt has ended; nothing is written for it after this returns."""
        self._watched = [other for other in self._watched if other is not watched]
        with watched.writing:
            watched.series.clear()

    def close(self) -> None:
        self._closing.set()
        self._news.set()
        self._thread.join(self._seconds + 1)

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._news.wait(self._seconds)
                self._news.clear()
                for watched in self._watched:
                    self._attend_to(watched)
                self._closing.wait(self._seconds / 4)  # flushes of several trials at once
        finally:
            connections.close_all()

    def _attend_to(self, watched: WatchedTrial) -> None:
        try:
            with watched.writing:
                if watched in self._watched:
                    self.look(watched)
        except Exception:  # what was found stands in the trial's findings when it ends
            logger.exception("trial %s could not be watched", watched.assignment.trial_id)
            connections.close_all()

    def look(self, watched: WatchedTrial) -> None:
        """Read what has come, and judge it when the time has come or a value is not finite."""
        broken = _take_in(watched)
        now = self._clock()
        if not watched.series or (now < watched.next_look and not broken):
            return
        if watched.is_new and watched.assignment.attempt > 1:
            findings.forget(trial_id=watched.assignment.trial_id)
        watched.is_new = False
        _judge(watched)
        cost = self._clock() - now
        watched.next_look = now + max(self._seconds, cost / SHARE)


def _take_in(watched: WatchedTrial) -> bool:
    """Take in new values, and tell whether any is not finite."""
    broken = False
    parts: dict[str, list[SeriesColumns]] = {}
    while not watched.flushes.empty():
        for name, columns in decode(watched.flushes.get().payload).items():
            if not is_test(name, watched.assignment.metrics):
                parts.setdefault(name, []).append(columns)
                broken = broken or not bool(np.isfinite(columns.values).all())
    for name, pieces in parts.items():
        watched.series[name] = _joined([*_columns(watched, name), *pieces])
    return broken


def _columns(watched: WatchedTrial, name: str) -> list[SeriesColumns]:
    return [watched.series[name]] if name in watched.series else []


def _joined(pieces: list[SeriesColumns]) -> SeriesColumns:
    return SeriesColumns(
        steps=np.concatenate([piece.steps for piece in pieces]),
        values=np.concatenate([piece.values for piece in pieces]),
        times_ms=np.concatenate([piece.times_ms for piece in pieces]),
    )


def _judge(watched: WatchedTrial) -> None:
    """Record what fires, and that it does so no longer."""
    assignment = watched.assignment
    last = max(float(columns.steps.max()) for columns in watched.series.values())
    diagnosis = stability(
        declared_series(watched.series, assignment),
        planned_steps=planned_steps(watched.parameters, last),
    )
    fired = frozenset((finding.rule, finding.title) for finding in diagnosis if finding.fired)
    if fired == watched.fired:
        return
    watched.announced |= {rule for rule, _ in fired}
    findings.record(
        experiment_id=assignment.experiment_id,
        trial_id=assignment.trial_id,
        diagnoses=[finding for finding in diagnosis if finding.rule in watched.announced],
    )
    watched.fired = fired
