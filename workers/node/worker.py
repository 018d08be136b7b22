"""Worker node: slots, heartbeat, Celery messages, and polling of the database for work."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery import signals
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections

from experiments import dispatch
from experiments.trials.lifecycle.services import (
    batch_sizes,
    dry_runs,
    edge_probes,
    experiments,
    queue,
    run_ends,
    stalled,
    workers,
)
from experiments.verdict.services import variance
from workers.celery import app
from workers.delivery.database_away import pause, persistently
from workers.delivery.deliveries import Deliverer
from workers.node import devices, owed_findings
from workers.node.dry_runs import DryRuns
from workers.node.measuring import Measuring
from workers.node.objective_checks import ObjectiveChecker
from workers.node.reaper import Reaper, idle_seconds
from workers.node.runner import TrialRunner
from workers.node.slots import Reservation, Slots
from workers.objectives.python_function import add_folder
from workers.search.storage import VerdictStorage

logger = logging.getLogger(__name__)

# Environment variables hidden from training code.
_SECRETS = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "DECISION_KEY",
    "EMAIL_HOST_PASSWORD",
    "METRICS_TOKEN",
)

BURST_SECONDS = 1.0  # how long trials follow each other without a message
LONGEST_PAUSE = 60.0  # between two tries of a queue that does not work

_current: Node | None = None


class Node:
    """Slots for training processes, and a thread that heartbeats and polls for work.

    Messages only reduce latency: when one was lost, or Redis is away, full or broken, the poll at
    every heartbeat finds the work in the database.

    Args:
        stopping: set when the process is to end; until then it waits for the database.

    Raises:
        DatabaseError: when `stopping` was set before the node was registered.
    """

    def __init__(
        self,
        *,
        queue_names: Iterable[str],
        slots: Slots,
        name: str = "",
        stopping: threading.Event | None = None,
    ) -> None:
        self.queue_names = tuple(queue_names)
        self.stopping = stopping or threading.Event()
        self.failure = ""  # why it cannot go on; the process then ends with a code
        register = {"name": name, "host": socket.gethostname(), "pid": os.getpid()}
        register |= {"queues": self.queue_names, "slots": slots.total, "devices": slots.names}
        self.worker_id = persistently(
            lambda: workers.register(
                name=name,
                host=socket.gethostname(),
                pid=os.getpid(),
                queues=self.queue_names,
                slots=slots.total,
                devices=slots.names,
            ),
            give_up=self.stopping,
        )
        self._slots = slots
        self._threads = ThreadPoolExecutor(slots.total, thread_name_prefix="slot")
        self._reaper = Reaper(stale_after=settings.STALE_AFTER_SECONDS)
        self._runner = TrialRunner(
            worker_id=self.worker_id, storage=VerdictStorage(), stopping=self.stopping
        )
        self._dry_runs = DryRuns(worker_id=self.worker_id, stopping=self.stopping)
        self._measuring = Measuring(
            worker_id=self.worker_id, stopping=self.stopping, hidden=_SECRETS
        )
        self._deliverer = Deliverer()
        self._checker = ObjectiveChecker(
            worker_id=self.worker_id,
            queue_names=self.queue_names,
            devices=slots.devices,
            hidden=_SECRETS,
        )
        self._beat = threading.Thread(target=self._keep_beating, name="heartbeat", daemon=True)
        self._beat.start()

    def take_messages(self, **options: Any) -> None:
        """Run Celery's worker until the process is asked to end.

        A worker ended by a Redis error (full, read-only, not a Redis) is restarted with
        exponential backoff; meanwhile the poll at every heartbeat finds the work.
        """
        seconds = 1.0
        while not self.stopping.is_set():
            began = time.monotonic()
            app.Worker(**options).start()
            if self.stopping.is_set():
                return
            if time.monotonic() - began > LONGEST_PAUSE:
                seconds = 1.0
            logger.error(
                "Redis does not work as a queue; trials are found in the database every %s s. "
                "Trying Redis again in %.0f s",
                settings.HEARTBEAT_SECONDS,
                seconds,
            )
            pause(seconds, self.stopping)
            seconds = min(2 * seconds, LONGEST_PAUSE)

    def run_next(self, queue_name: str) -> None:
        """Run trials of a queue for `BURST_SECONDS` if a slot is free, then send the next message.

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
        if worked and not self.stopping.is_set() and not dispatch.call_again(queue_name):
            self._submit(self.run_next, queue_name)

    def _run_one(self, queue_name: str) -> bool:
        if not self._slots.free:
            return False  # all busy: the next free slot polls again
        reservation = self._slots.reserve()
        try:
            return self._runner.run_next(queue_name, reservation)
        finally:
            reservation.release()

    def measure(self, queue_name: str) -> None:
        """Run a requested batch size measurement if a slot is free."""
        self._run_job(self._measuring.run_next, queue_name)

    def dry_run(self, queue_name: str) -> None:
        """Run a requested dry run if a slot is free."""
        self._run_job(self._dry_runs.run_next, queue_name)

    def _run_job(self, job: Callable[[str, Reservation], bool], queue_name: str) -> None:
        if not self._slots.free or self.stopping.is_set():
            return  # the poll at the next heartbeat finds it
        reservation = self._slots.reserve()
        try:
            worked = job(queue_name, reservation)
        finally:
            reservation.release()
            connections.close_all()
        if worked and not self.stopping.is_set():
            dispatch.wake(queue_name)

    def deliver(self) -> None:
        """Wake the sending threads for due webhooks and mails."""
        self._deliverer.wake()

    def check_objectives(self) -> None:
        """Wake the thread that checks objectives."""
        self._checker.wake()

    def stop(self) -> None:
        """Hand trials back and end the training processes."""
        self.stopping.set()
        self._threads.shutdown(cancel_futures=True)
        self._slots.close()
        self._runner.close()
        self._deliverer.close()
        self._checker.close()
        try:
            workers.deregister(worker_id=self.worker_id)
        except DatabaseError:
            logger.warning("worker not deregistered: the database is away")

    def _keep_beating(self) -> None:
        seconds: float = settings.HEARTBEAT_SECONDS
        while not self.stopping.wait(seconds):
            seconds = settings.HEARTBEAT_SECONDS
            try:
                if self._beat_once():
                    seconds = idle_seconds(seconds, settings.STALE_AFTER_SECONDS)
            except DatabaseError as error:
                self._reaper.database_failed()
                logger.warning("heartbeat failed, the database is away: %s", error)
            except Exception:
                logger.exception("heartbeat failed")
            finally:
                close_old_connections()

    def _beat_once(self) -> bool:
        """Send one heartbeat; True for an idle worker among others, which may beat less often."""
        beat = workers.heartbeat(
            worker_id=self.worker_id,
            queues=self.queue_names,
            turn_seconds=settings.HEARTBEAT_SECONDS / 2,
        )
        if beat is None:
            self._terminate("the database no longer knows this worker: was a backup restored?")
            return False
        self._reaper.database_answered()
        if beat.has_turn:
            self._run_periodic_checks()
        if beat.has_work:
            self._look_for_work()
        self._checker.poll(asked=beat.has_work)
        self._deliverer.poll(sends=beat.has_turn)
        return not beat.has_turn and not beat.has_work and self._slots.free == self._slots.total

    def _run_periodic_checks(self) -> None:
        """Run the periodic checks of all workers: one of them in turn, so that the cost does not
        grow with their number and none that hangs keeps them from running.
        """
        self._reaper.reap()
        run_ends.fail_silent()
        owed_findings.derive_all(edge_probes.advance_all(), self._runner.findings_recorder)
        owed_findings.derive_due(self._runner.findings_recorder)
        variance.queue_winners()
        experiments.stop_overdue()
        stalled.check()

    def _terminate(self, why: str) -> None:
        self.failure = why
        os.kill(os.getpid(), signal.SIGTERM)

    def _look_for_work(self) -> None:
        free = self._slots.free
        most_gpus = len(self._slots.devices)
        for name in self.queue_names:
            wanted = min(free, queue.claimable(name, most_gpus=most_gpus)) if free else 0
            for _ in range(wanted):
                self._submit(self.run_next, name)
            free -= wanted
            if free and batch_sizes.is_waiting(name, most_gpus=most_gpus):
                self._submit(self.measure, name)
            if free and dry_runs.is_waiting(name, most_gpus=most_gpus):
                self._submit(self.dry_run, name)

    def _submit(self, action: Callable[[str], None], queue_name: str) -> None:
        """Run an action as a message would, in a thread of the pool."""

        def run() -> None:
            try:
                action(queue_name)
            except DatabaseError as error:
                logger.warning("the database is away, trials of %s wait: %s", queue_name, error)
            except Exception:
                logger.exception("looking for work in %s broke", queue_name)

        if not self.stopping.is_set():
            with contextlib.suppress(RuntimeError):  # it has been shut down meanwhile
                self._threads.submit(run)


def start(
    *,
    queue_names: Iterable[str],
    slots: Slots,
    name: str = "",
    stopping: threading.Event | None = None,
) -> Node:
    """Make this process a worker node; see `Node`. Called once, before it takes any message."""
    global _current
    add_folder(settings.OBJECTIVES_FOLDER)
    _current = Node(queue_names=queue_names, slots=slots, name=name, stopping=stopping)
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
    """Slots on the CPU and on each detected GPU, from the settings."""
    return Slots(
        cpu=settings.WORKER_SLOTS,
        devices=devices.find(settings.WORKER_GPUS),
        per_device=settings.TRIALS_PER_GPU,
        hidden_environment=_SECRETS,
        grace_seconds=settings.STOP_GRACE_SECONDS,
    )


@signals.celeryd_init.connect
def _only_in_a_node(**_: object) -> None:
    # Celery would take messages without slots, and fail each of them.
    if _current is None:
        raise SystemExit("start this worker with manage.py worker, not with celery")


@signals.worker_shutting_down.connect
def _on_shutting_down(**_: object) -> None:
    # In a signal handler: only say so. Running trials see it at their next tick and are handed
    # back; Celery waits for them.
    if _current is not None:
        _current.stopping.set()
