"""Divergence checks on the curves of running trials, in a thread.

The supervisor enqueues each flush and continues. Findings are recorded at once; open pages show
them with their next update.
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

SECONDS = 1.0  # between two evaluations of a trial, unless a value is not finite
SHARE = 0.01  # of the time that this may take: long curves are evaluated less often


@dataclass(slots=True, eq=False)
class WatchedTrial:
    """A running attempt and its points so far."""

    spec: TrialSpec
    parameters: Mapping[str, Any]
    flushes: queue.SimpleQueue[SeriesFlush] = field(default_factory=queue.SimpleQueue)
    series: dict[str, SeriesColumns] = field(default_factory=dict)
    next_at: float = 0.0
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

    def watch(self, spec: TrialSpec, parameters: Mapping[str, Any]) -> WatchedTrial:
        watched = WatchedTrial(spec, parameters)
        if spec.kind == "search":
            self._watched = [*self._watched, watched]
        return watched

    def put(self, watched: WatchedTrial, flush: SeriesFlush) -> None:
        """Enqueue a flush; never waits."""
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
                    self._evaluate_logged(watched)
                self._closing.wait(self._seconds / 4)  # flushes of several trials at once
        finally:
            connections.close_all()

    def _evaluate_logged(self, watched: WatchedTrial) -> None:
        try:
            with watched.writing:
                if watched in self._watched:
                    self.evaluate(watched)
        except Exception:  # the findings at the trial's end still record it
            logger.exception("trial %s could not be watched", watched.spec.trial_id)
            connections.close_all()

    def evaluate(self, watched: WatchedTrial) -> None:
        """Append new points, and apply the rules when due or when a value is not finite."""
        broken = _append_flushes(watched)
        now = self._clock()
        if not watched.series or (now < watched.next_at and not broken):
            return
        if watched.is_new and watched.spec.attempt > 1:
            findings.forget(trial_id=watched.spec.trial_id)
        watched.is_new = False
        _record_stability(watched)
        cost = self._clock() - now
        watched.next_at = now + max(self._seconds, cost / SHARE)


def _append_flushes(watched: WatchedTrial) -> bool:
    """Append the points of new flushes; True when any is not finite."""
    broken = False
    parts: dict[str, list[SeriesColumns]] = {}
    while not watched.flushes.empty():
        for name, columns in decode(watched.flushes.get().payload).items():
            if not is_test(name, watched.spec.metrics):
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


def _record_stability(watched: WatchedTrial) -> None:
    """Record findings that fire, and those that no longer do."""
    spec = watched.spec
    last = max(float(columns.steps.max()) for columns in watched.series.values())
    diagnosis = stability(
        declared_series(watched.series, spec),
        planned_steps=planned_steps(watched.parameters, last),
    )
    fired = frozenset((finding.rule, finding.title) for finding in diagnosis if finding.fired)
    if fired == watched.fired:
        return
    watched.announced |= {rule for rule, _ in fired}
    findings.record(
        experiment_id=spec.experiment_id,
        trial_id=spec.trial_id,
        diagnoses=[finding for finding in diagnosis if finding.rule in watched.announced],
    )
    watched.fired = fired
