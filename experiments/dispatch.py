"""The only sender of tasks: names a queue, never a trial, after the transaction has committed.

A message says "there may be work in this queue"; whoever takes it claims the next trial in the
database. A lost message costs at most a heartbeat, because workers look for themselves too; a
doubled one costs nothing.
"""

from __future__ import annotations

import logging

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

RUN_NEXT = "workers.run_next"
DELIVER = "workers.deliver"
MEASURE = "workers.measure"

logger = logging.getLogger(__name__)


def wake(queue: str, count: int = 1) -> None:
    """Send `count` messages to `queue` once the present transaction has committed."""
    transaction.on_commit(lambda: _send(RUN_NEXT, [queue], queue, count))


def deliver(queue: str) -> None:
    """Ask a worker node on `queue` to send what is due, once the transaction has committed."""
    transaction.on_commit(lambda: _send(DELIVER, [], queue, 1))


def measure(queue: str) -> None:
    """Ask a worker node on `queue` for a measurement, once the transaction has committed."""
    transaction.on_commit(lambda: _send(MEASURE, [queue], queue, 1))


def _send(task: str, args: list[str], queue: str, count: int) -> None:
    try:
        for _ in range(count):
            current_app.send_task(task, args=args, queue=queue)
    except (OperationalError, OSError) as error:
        # Nothing is lost: the work lies in the database and workers look there every heartbeat.
        logger.warning("the queue cannot be reached, workers will find the work: %s", error)
