"""The only sender of tasks: names a queue, never a trial, after the transaction has committed.

A message says "there may be work in this queue"; whoever takes it claims the next trial in the
database. A lost message costs at most a heartbeat, because workers look for themselves too; a
doubled one costs nothing. While Redis does not take messages they are dropped.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from celery import Celery

RUN_NEXT = "workers.run_next"
DELIVER = "workers.deliver"
MEASURE = "workers.measure"
CHECK_OBJECTIVES = "workers.check_objectives"
DRY_RUN = "workers.dry_run"
_AWAY_SECONDS = 10.0  # before a queue that failed is tried again: nobody waits for it meanwhile

logger = logging.getLogger(__name__)
_away_until = 0.0


def wake(queue: str, count: int = 1) -> None:
    """Send `count` messages to `queue` once the present transaction has committed."""
    transaction.on_commit(lambda: _send(RUN_NEXT, [queue], queue, count))


def call_again(queue: str) -> bool:
    """Send one message to `queue` now; False when Redis does not take it."""
    return _send(RUN_NEXT, [queue], queue, 1)


def deliver(queue: str) -> None:
    """Ask a worker node on `queue` to send what is due, once the transaction has committed."""
    transaction.on_commit(lambda: _send(DELIVER, [], queue, 1))


def measure(queue: str) -> None:
    """Ask a worker node on `queue` for a measurement, once the transaction has committed."""
    transaction.on_commit(lambda: _send(MEASURE, [queue], queue, 1))


def check_objectives(queue: str) -> None:
    """Ask a worker node on `queue` for answers, once the transaction has committed."""
    transaction.on_commit(lambda: _send(CHECK_OBJECTIVES, [], queue, 1))


def dry_run(queue: str) -> None:
    """Ask a worker node on `queue` for a dry run, once the transaction has committed."""
    transaction.on_commit(lambda: _send(DRY_RUN, [queue], queue, 1))


def task_app() -> Celery:
    """The Celery application of the settings; imported late, as most commands send nothing."""
    app: Celery = import_string(settings.TASK_APP)
    return app


def _send(task: str, args: list[str], queue: str, count: int) -> bool:
    global _away_until
    if time.monotonic() < _away_until:
        return False
    try:
        app = task_app()
        for _ in range(count):
            app.send_task(task, args=args, queue=queue)
    except Exception as error:  # full, read-only, no Redis at all: each has errors of its own
        # Nothing is lost: the work lies in the database and workers look there every heartbeat.
        _away_until = time.monotonic() + _AWAY_SECONDS
        logger.warning("the queue cannot be reached, workers will find the work: %s", error)
        return False
    return True
