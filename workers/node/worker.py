"""One worker process: its slots, its heartbeat, and its own look for work."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterable

from celery import signals
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections

from experiments import dispatch
from experiments.trials.lifecycle.services import (
    batch_sizes,
    experiments,
    queue,
    runs,
    stalled,
    workers,
)
from experiments.verdict.services import variance
from workers.delivery.deliveries import Deliverer
from workers.node import devices, outside_runs
from workers.node.measuring import Measuring
from workers.node.reaper import Reaper
from workers.node.runner import TrialRunner
from workers.node.slots import Slots
from workers.search.storage import VerdictStorage

logger = logging.getLogger(__name__)

# What training code does not get to see.
_SECRETS = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "DECISION_KEY",
    "EMAIL_HOST_PASSWORD",
    "METRICS_TOKEN",
)

BURST_SECONDS = 1.0  # how long trials follow each other without a message

_current: Node | None = None
_starting = threading.Lock()


class Node:
    """Slots of warm training processes, and a thread that heartbeats and looks for work.

    Messages only wake: when one is lost, or Redis was emptied, the look at every heartbeat
    finds the work in the database.
    """

    def __init__(self, *, queue_names: Iterable[str], slots: Slots, name: str = "") -> None:
        self.queue_names = tuple(queue_names)
        self.stopping = threading.Event()
        self.worker_id = workers.register(
            name=name,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=self.queue_names,
            slots=slots.total,
            devices=slots.names,
        )
        self._slots = slots
        self._reaper = Reaper(stale_after=settings.STALE_AFTER_SECONDS)
        self._runner = TrialRunner(
            worker_id=self.worker_id, storage=VerdictStorage(), stopping=self.stopping
        )
        self._measuring = Measuring(
            worker_id=self.worker_id, stopping=self.stopping, hidden=_SECRETS
        )
        self._deliverer = Deliverer()
        self._beat = threading.Thread(target=self._keep_beating, name="heartbeat", daemon=True)
        self._beat.start()

    def run_next(self, queue_name: str) -> None:
        """Run trials of a queue for a moment if a slot is free, then call for the next.

        Short trials follow each other without a message and a database connection for each;
        after `BURST_SECONDS` other queues get their turn.
        """
        until = time.monotonic() + BURST_SECONDS
        try:
            while worked := self._run_one(queue_name):
                if time.monotonic() >= until or self.stopping.is_set():
                    break
        finally:
            connections.close_all()
        if worked and not self.stopping.is_set():
            dispatch.wake(queue_name)

    def _run_one(self, queue_name: str) -> bool:
        if not self._slots.free:
            return False  # all busy: whoever ends next looks again
        room = self._slots.reserve()
        try:
            return self._runner.run_next(queue_name, room)
        finally:
            room.release()

    def measure(self, queue_name: str) -> None:
        """Measure batch sizes that somebody asked for, if a slot is free for it."""
        if not self._slots.free or self.stopping.is_set():
            return  # whoever looks at the next heartbeat finds it
        room = self._slots.reserve()
        try:
            worked = self._measuring.run_next(queue_name, room)
        finally:
            room.release()
            connections.close_all()
        if worked and not self.stopping.is_set():
            dispatch.wake(queue_name)

    def deliver(self) -> None:
        """Send what is due, without waiting for it."""
        self._deliverer.wake()

    def stop(self) -> None:
        """Hand trials back and end the training processes."""
        self.stopping.set()
        self._slots.close()
        self._runner.close()
        self._deliverer.close()
        try:
            workers.leave(worker_id=self.worker_id)
        except DatabaseError:
            logger.warning("could not say goodbye: the database is away")

    def _keep_beating(self) -> None:
        while not self.stopping.wait(settings.HEARTBEAT_SECONDS):
            try:
                self._look_once()
            except DatabaseError as error:
                self._reaper.was_deaf()
                logger.warning("heartbeat failed, the database is away: %s", error)
            except Exception:
                logger.exception("heartbeat failed")
            finally:
                close_old_connections()

    def _look_once(self) -> None:
        workers.heartbeat(worker_id=self.worker_id)
        self._reaper.look()
        runs.lose_silent()
        outside_runs.look()
        variance.queue_winners()
        experiments.stop_overdue()
        self._wake_for_work()
        stalled.look()
        self._deliverer.look()

    def _wake_for_work(self) -> None:
        free = self._slots.free
        most_gpus = len(self._slots.devices)
        for name in self.queue_names:
            wanted = min(free, queue.claimable(name, most_gpus=most_gpus)) if free else 0
            if wanted:
                dispatch.wake(name, wanted)
            if free and batch_sizes.is_waiting(name, most_gpus=most_gpus):
                dispatch.measure(name)


def start(*, queue_names: Iterable[str], slots: Slots, name: str = "") -> Node:
    """Make this process a worker node. Called once, when Celery is ready."""
    global _current
    with _starting:
        if _current is None:
            _current = Node(queue_names=queue_names, slots=slots, name=name)
        return _current


def current() -> Node:
    """This process's node.

    Raises:
        RuntimeError: in a process that is no worker.
    """
    if _current is None:
        raise RuntimeError("this process is no worker; start one with manage.py worker")
    return _current


def slots_of_this_node() -> Slots:
    """Places on the CPU, and on each GPU that was found, as the settings say."""
    return Slots(
        cpu=settings.WORKER_SLOTS,
        devices=devices.find(settings.WORKER_GPUS),
        per_device=settings.TRIALS_PER_GPU,
        hidden_environment=_SECRETS,
        grace_seconds=settings.STOP_GRACE_SECONDS,
    )


@signals.worker_ready.connect
def _on_ready(sender: object, **_: object) -> None:
    consumer = getattr(sender, "app", None)
    names = list(consumer.amqp.queues.consume_from) if consumer is not None else ["cpu"]
    start(queue_names=names, slots=slots_of_this_node(), name=settings.WORKER_NAME)


@signals.worker_shutting_down.connect
def _on_shutting_down(**_: object) -> None:
    # In a signal handler: only say so. Running trials see it at their next tick and are handed
    # back; Celery waits for them.
    if _current is not None:
        _current.stopping.set()


@signals.worker_shutdown.connect
def _on_shutdown(**_: object) -> None:
    if _current is not None:
        _current.stop()
