"""Real worker processes on the test database and the test Redis."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from django.conf import settings

from config import children

_numbers = itertools.count()


@dataclass(slots=True)
class WorkerProcess:
    """One `manage.py worker`, in a process group of its own with its training processes."""

    child: children.Child

    def kill(self) -> None:
        """As when a node loses power: nobody says goodbye."""
        self.child.signal_group(signal.SIGKILL)
        self.child.process.wait()

    def terminate(self) -> int:
        """Ask it to end; returns its exit status."""
        self.child.process.send_signal(signal.SIGTERM)
        return self.child.process.wait(timeout=30)

    def log(self) -> str:
        return "\n".join(self.child.last_lines())


@pytest.fixture
def start_worker(
    transactional_db: None, service_environment: dict[str, str]
) -> Iterator[Callable[..., WorkerProcess]]:
    """A function that starts a worker; all of them are gone after the test."""
    started: list[WorkerProcess] = []

    def start(
        *, slots: int = 2, objectives: str = "tests.workers", **variables: str
    ) -> WorkerProcess:
        environment = {
            **service_environment,
            "OBJECTIVES": objectives,
            "HEARTBEAT_SECONDS": "1",
            "STALE_AFTER_SECONDS": "3",
            "PYTHONPATH": os.pathsep.join([str(settings.BASE_DIR), *sys.path[1:]]),
            **variables,
        }
        name = f"worker-{next(_numbers)}"
        command = [sys.executable, "manage.py", "worker", "--slots", str(slots), "--name", name]
        worker = WorkerProcess(
            children.start(name, command, environment=environment, logs=settings.LOGS_DIR)
        )
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()


def wait_until(
    condition: Callable[[], bool], *, seconds: float = 180, worker: WorkerProcess | None = None
) -> None:
    """Wait for a condition; fail with the worker's last lines when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        ended = worker is not None and worker.child.exit_status is not None
        if ended or time.monotonic() > deadline:
            lines = worker.log() if worker is not None else ""
            pytest.fail(f"the worker ended, or nothing happened within {seconds} s\n{lines}")
        time.sleep(0.05)
