"""Real worker processes on the test database and the test Redis."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from django.conf import settings
from django.utils import timezone

from config import children
from tests import waiting
from tests.waiting import PATIENCE

_numbers = itertools.count()


@dataclass(slots=True)
class WorkerProcess:
    """One `manage.py worker`, in a process group of its own with its training processes."""

    child: children.Child

    def kill(self) -> None:
        """As when a node loses power: nobody says goodbye."""
        self.child.signal_group(signal.SIGKILL)
        self.child.process.wait()

    def has_long_been_silent(self) -> None:
        """Its trials were last heard of an hour ago: others take them over.

        Moving the heartbeats of a killed worker, instead of waiting, leaves the others all the
        time they need for theirs: on a busy machine nobody is taken for dead who lives.
        """
        from experiments.models import Trial
        from experiments.models.trial import TrialState

        an_hour_ago = timezone.now() - dt.timedelta(hours=1)
        held = Trial.objects.filter(state=TrialState.RUNNING, worker__pid=self.child.process.pid)
        held.update(heartbeat_at=an_hour_ago)

    def terminate(self) -> int:
        """Ask it to end; returns its exit status."""
        self.child.process.send_signal(signal.SIGTERM)
        return self.child.process.wait(timeout=PATIENCE)

    def log(self) -> str:
        return "\n".join(self.child.last_lines())


@pytest.fixture
def start_worker(
    transactional_db: None, service_environment: dict[str, str]
) -> Iterator[Callable[..., WorkerProcess]]:
    """A function that starts a worker; all of them are gone after the test."""
    with starting(service_environment) as start:
        yield start


@contextmanager
def starting(service_environment: Mapping[str, str]) -> Iterator[Callable[..., WorkerProcess]]:
    """A function that starts a worker; all of them are gone at the end."""
    started: list[WorkerProcess] = []

    def start(
        *,
        slots: int = 2,
        objectives: str = "tests.workers",
        python: str = sys.executable,
        **variables: str,
    ) -> WorkerProcess:
        environment = {
            **service_environment,
            "OBJECTIVES": objectives,
            "HEARTBEAT_SECONDS": "1",
            "STALE_AFTER_SECONDS": "1200",  # see `has_long_been_silent`
            "PRUNER_SECONDS": "60",
            "PYTHONPATH": os.pathsep.join([str(settings.BASE_DIR), *sys.path[1:]]),
            **variables,
        }
        name = f"worker-{next(_numbers)}"
        command = [python, "manage.py", "worker", "--slots", str(slots), "--name", name]
        worker = WorkerProcess(
            children.start(name, command, environment=environment, logs=settings.LOGS_DIR)
        )
        started.append(worker)
        return worker

    try:
        yield start
    finally:
        for worker in started:
            worker.kill()


def wait_until(condition: Callable[[], bool], *, worker: WorkerProcess) -> None:
    """Wait for what a worker does; fail with its last lines when it does not come."""

    def holds() -> bool:
        if worker.child.exit_status is not None:
            pytest.fail(f"the worker ended\n{worker.log()}")
        return condition()

    waiting.wait_until(holds, told=worker.log)
