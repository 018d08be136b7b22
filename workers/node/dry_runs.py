"""Dry runs on a worker: claim, train the first configuration, report, store the result."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from experiments.trials.lifecycle.services import dry_runs
from experiments.trials.lifecycle.services.dry_runs import DryRunOrder
from experiments.trials.lifecycle.training_seeds import first_seed
from experiments.trials.series import series_encoding
from workers.delivery.database_away import is_away, persistently
from workers.node.slots import Reservation
from workers.node.supervisor import Order
from workers.search.asking import first_configuration
from workers.training.messages import Job, Outcome, SeriesFlush

logger = logging.getLogger(__name__)

REPORT_SECONDS = 1.0
MOST_POINTS = 400  # of a metric that are kept
LONGEST_LOG = 8_000  # characters, of its end


class DryRuns:
    """One for a worker process.

    Args:
        stopping: set when the worker is asked to end; a dry run is then handed back.
    """

    def __init__(self, *, worker_id: int, stopping: threading.Event) -> None:
        self._worker_id = worker_id
        self._stopping = stopping

    def run_next(self, queue: str, reservation: Reservation) -> bool:
        """Claim and do one dry run; False when none is due or no device is free."""
        order = dry_runs.claim(
            queue=queue, worker_id=self._worker_id, allocate=reservation.allocate
        )
        if order is None:
            return False
        logger.info("dry run %s of %s claimed", order.id, order.file.objective)
        _OneDryRun(order, self._worker_id, self._stopping).run(reservation)
        return True


class _OneDryRun:
    """One trial from claim to result."""

    def __init__(self, order: DryRunOrder, worker_id: int, stopping: threading.Event) -> None:
        self._place = {"dry_run": order.id, "worker_id": worker_id}
        self._order = order
        self._stopping = stopping
        self._found: dict[str, Any] = {"series": {}}
        self._next = 0.0

    def run(self, reservation: Reservation) -> None:
        try:
            outcome = reservation.slot.run(
                self._job(),
                on_series=self._on_series,
                on_report=lambda step, value: False,
                on_sealed=lambda sealed: None,
                on_log_tail=lambda text: self._found.update(log=text[-LONGEST_LOG:]),
                on_tick=self._on_tick,
            )
        except Exception as error:
            logger.exception("dry run %s could not start", self._order.id)
            outcome = Outcome(state="failed", reason=f"could not start: {error}")
        if self._stopping.is_set() and outcome.state in ("killed", "stopped", "lost"):
            dry_runs.hand_back(**self._place)
            return
        self._found |= {
            "names": list(outcome.names),
            "seconds": outcome.seconds,
            "peak_memory_mb": outcome.peak_memory_mb,
            "score": outcome.score.value,
            "reason": outcome.reason,
            "log": (outcome.log_tail.strip() or outcome.traceback)[-LONGEST_LOG:],
        }
        failed = outcome.state in ("failed", "lost", "infeasible")
        persistently(
            lambda: dry_runs.finish(**self._place, found=self._found, failed=failed),
            give_up=self._stopping,
        )

    def _job(self) -> Job:
        file, official = self._order.file, self._order.official_metric
        arm, parameters = first_configuration(file)
        budget = None
        if file.fidelity is not None:
            budget = file.fidelity.low
            parameters = {**parameters, file.fidelity.name: budget}
        self._found |= {"parameters": dict(parameters), "budget": budget}
        return Job(
            label=f"dry run {self._order.id}",
            objective=file.objective,
            allowed=tuple(settings.OBJECTIVES),
            params=parameters,
            train_seed=first_seed(file.seed, 0),
            split_seed=file.split_seed,
            search_seed=file.seed,
            official_metric=official,
            direction="minimize" if self._order.direction == "minimize" else "maximize",
            splits={name: metric.split for name, metric in file.metrics.items()},
            early_stopping=file.stopping_rule(official, self._order.direction),
            budget=budget,
            fidelity=file.fidelity.name if file.fidelity else "",
            folds=file.folds,
            data=arm.runs.data,
        )

    def _on_series(self, flush: SeriesFlush) -> None:
        for name, columns in series_encoding.decode(flush.payload).items():
            steps, values = self._found["series"].setdefault(name, ([], []))
            steps += columns.steps.tolist()
            values += columns.values.tolist()
            if len(steps) > 2 * MOST_POINTS:
                self._found["series"][name] = (_thinned(steps), _thinned(values))

    def _on_tick(self) -> Order | None:
        if self._stopping.is_set():
            return "leave"
        if time.monotonic() < self._next:
            return None
        self._next = time.monotonic() + REPORT_SECONDS
        try:
            return None if dry_runs.report(**self._place, found=self._found) else "kill"
        except (DatabaseError, InterfaceError) as error:
            if not is_away(error):
                raise
            return None
        finally:
            connections.close_all()


def _thinned(column: list[float]) -> list[float]:
    """Every second point; the last one stays."""
    return column[(len(column) - 1) % 2 :: 2]
