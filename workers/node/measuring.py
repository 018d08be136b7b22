"""Batch size measurements on a worker: claim, measure one size after another, report."""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict

import psutil
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from experiments.design.document.objectives import is_allowed
from experiments.trials.lifecycle.services import batch_sizes
from experiments.trials.lifecycle.services.batch_sizes import Order
from workers.delivery.database_away import is_away, persistently
from workers.node.slots import Reservation
from workers.training.batch_size import Interrupted, Measured, in_a_process, sizes_up

logger = logging.getLogger(__name__)

TELL_SECONDS = 1.0
_SHARE_OF_MEMORY = 0.5  # of what is free, for a measurement on the CPU


class Measuring:
    """One for a worker process.

    Args:
        stopping: set when the worker is asked to end; a measurement is then handed back.
        hidden: environment variables that a training function does not get to see.
    """

    def __init__(
        self, *, worker_id: int, stopping: threading.Event, hidden: Sequence[str]
    ) -> None:
        self._worker_id = worker_id
        self._stopping = stopping
        self._hidden = frozenset(hidden)

    def run_next(self, queue: str, reservation: Reservation) -> bool:
        """Claim and do one measurement; False when none is due or no device is free."""
        order = batch_sizes.claim(
            queue=queue, worker_id=self._worker_id, allocate=reservation.allocate
        )
        if order is None:
            return False
        logger.info("measurement %s of %s claimed", order.id, order.objective)
        reservation.slot.close()  # the process that waits there would hold memory of the device
        who = {"probe_id": order.id, "worker_id": self._worker_id}
        if not is_allowed(order.objective, settings.OBJECTIVES):
            reason = f"{order.objective} is not on this worker's list (OBJECTIVES)."
            batch_sizes.fail(**who, reason=reason)
            return True
        try:
            rows = _Telling(order, self._worker_id, self._stopping).measure(
                self._environment(reservation), memory_mb=_memory_mb(reservation)
            )
        except Exception as error:
            logger.exception("measurement %s failed", order.id)
            reason = f"The measurement failed: {error}"[:500]
            persistently(lambda: batch_sizes.fail(**who, reason=reason), give_up=self._stopping)
            return True
        plain = [asdict(row) for row in rows]
        if self._stopping.is_set():
            batch_sizes.hand_back(**who)
        else:
            persistently(lambda: batch_sizes.finish(**who, rows=plain), give_up=self._stopping)
        return True

    def _environment(self, reservation: Reservation) -> dict[str, str]:
        shown = {name: value for name, value in os.environ.items() if name not in self._hidden}
        return {**shown, **reservation.environment}


class _Telling:
    """Tells of each size, and every second that the worker lives; hears whether to go on."""

    def __init__(self, order: Order, worker_id: int, stopping: threading.Event) -> None:
        self._order = order
        self._worker_id = worker_id
        self._stopping = stopping
        self._rows: list[Measured] = []
        self._next = 0.0

    def measure(self, environment: dict[str, str], *, memory_mb: int) -> list[Measured]:
        """All sizes until memory, data or gains end, or it was told to end."""
        plan = self._order.plan
        measure = in_a_process(
            self._order.objective,
            self._order.parameters,
            parameter=plan.parameter,
            steps=plan.steps,
            memory_mb=memory_mb,
            environment=environment,
            is_wanted=self._goes_on,
        )

        def tell(rows: list[Measured]) -> None:
            self._rows = rows
            self._tell()

        try:
            sizes_up(measure, first=plan.first, largest=plan.largest, tell=tell)
        except Interrupted:
            logger.info("measurement %s was ended", self._order.id)
        return self._rows

    def _goes_on(self) -> bool:
        if self._stopping.is_set():
            return False
        if time.monotonic() < self._next:
            return True
        self._next = time.monotonic() + TELL_SECONDS
        return self._tell()

    def _tell(self) -> bool:
        """Nothing is lost while the database is away: the next time tells it all."""
        try:
            return batch_sizes.report(
                probe_id=self._order.id,
                worker_id=self._worker_id,
                rows=[asdict(row) for row in self._rows],
                host=platform.node()[:200],
            )
        except (DatabaseError, InterfaceError) as error:
            if not is_away(error):
                raise
            connections.close_all()
            return True


def _memory_mb(reservation: Reservation) -> int:
    """A cap on the CPU, so that the end of memory is this process's alone; 0, none, on a GPU."""
    if reservation.environment["CUDA_VISIBLE_DEVICES"]:
        return 0
    return int(psutil.virtual_memory().available * _SHARE_OF_MEMORY / 2**20)
