"""`manage.py worker`: run trials from the queue, a training process for each slot."""

from __future__ import annotations

import json
import os
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from celery.worker import state as celery_state
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from experiments.database import limit_statements
from workers.delivery.database_away import wait_until_ready
from workers.node import devices, worker


class Command(BaseCommand):
    # Those of addresses would import the pages, whose packages a worker does without.
    requires_system_checks = ()
    help = (
        "Run trials from the queue: a Celery worker that finds this node's GPUs and "
        "gives each trial a process of its own."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--queues", default="", help="comma-separated (default: cpu, and gpu with a GPU)"
        )
        parser.add_argument(
            "--slots", type=int, help="trials without a GPU at a time (default: WORKER_SLOTS)"
        )
        parser.add_argument(
            "--gpus", default="", help="auto, or how many; 0 for none (default: WORKER_GPUS)"
        )
        parser.add_argument(
            "--per-device", type=int, help="trials that share a GPU (default: TRIALS_PER_GPU)"
        )
        parser.add_argument("--name", default="", help="its name on pages (default: host:pid)")
        parser.add_argument("--json", action="store_true", help="say what it offers as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        slots = _within(options["slots"], "slots", settings.WORKER_SLOTS)
        per_device = _within(options["per_device"], "per-device", settings.TRIALS_PER_GPU)
        gpus = options["gpus"].lower() or settings.WORKER_GPUS
        if gpus != "auto" and not (gpus.isdecimal() and int(gpus) <= 64):
            raise CommandError(f"--gpus: found {gpus}; expected auto, or 0 to 64")
        settings.WORKER_SLOTS = slots
        settings.TRIALS_PER_GPU = per_device
        settings.WORKER_GPUS = gpus
        settings.WORKER_NAME = options["name"] or settings.WORKER_NAME
        found = devices.find(gpus)
        names = [device.name for device in found]
        queues = (options["queues"] or ("cpu,gpu" if found else "cpu")).split(",")
        if options["json"]:
            self.stdout.write(json.dumps({"gpus": names, "slots": slots, "queues": queues}))
        else:
            self.stdout.write(f"GPUs: {', '.join(names) or 'none'}; {slots} slots without one")
        _run(queues, concurrency=slots + len(found) * per_device)


def _run(queues: list[str], *, concurrency: int) -> None:
    """Be a node until a signal asks for the end.

    Raises:
        CommandError: when the node cannot go on.
    """
    stopping = threading.Event()

    def end(*_: object) -> None:
        stopping.set()
        celery_state.should_stop = 0  # type: ignore[assignment]  # its handlers may be to come

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    # Celery's checks of Django would import the pages as well: 85 MB that a worker has no use for.
    os.environ.setdefault("CELERY_SKIP_CHECKS", "true")
    limit_statements(settings.DATABASE_SECONDS)
    if not wait_until_ready(stopping):
        return
    found = worker.start(
        queue_names=queues,
        slots=worker.slots_of_this_node(),
        name=settings.WORKER_NAME,
        stopping=stopping,
    )
    try:
        found.take_messages(
            hostname=settings.WORKER_NAME or f"verdict-{os.getpid()}@%h",
            pool="threads",
            concurrency=concurrency,
            queues=queues,
            loglevel=settings.LOG_LEVEL,
            without_gossip=True,
            without_mingle=True,
        )
    finally:
        found.stop()
    if found.failure:
        raise CommandError(found.failure)


def _within(given: int | None, option: str, default: int) -> int:
    if given is None:
        return default
    if not 1 <= given <= 1024:
        raise CommandError(f"--{option}: found {given}; expected 1 to 1024")
    return given
