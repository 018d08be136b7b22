"""`manage.py worker`: run trials from the queue, a training process for each slot."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workers.celery import app
from workers.node import devices


class Command(BaseCommand):
    # Those of addresses would import the pages, whose packages a worker does without.
    requires_system_checks = ()
    help = (
        "Run trials from the queue: a Celery worker that finds this node's GPUs, with a warm "
        "training process for each slot."
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

    def handle(self, *args: Any, **options: Any) -> None:
        slots = _within(options["slots"], "slots", settings.WORKER_SLOTS)
        per_device = _within(options["per_device"], "per-device", settings.TRIALS_PER_GPU)
        gpus = options["gpus"].lower() or settings.WORKER_GPUS
        if gpus != "auto" and not (gpus.isdecimal() and int(gpus) <= 64):
            raise CommandError(f"--gpus: found {gpus}; want auto, or 0 to 64")
        # The node is made once Celery is ready, and reads these.
        settings.WORKER_SLOTS = slots
        settings.TRIALS_PER_GPU = per_device
        settings.WORKER_GPUS = gpus
        settings.WORKER_NAME = options["name"] or settings.WORKER_NAME
        found = devices.find(gpus)
        names = ", ".join(device.name for device in found) or "none"
        self.stdout.write(f"GPUs: {names}; {slots} slots without one")
        queues = options["queues"] or ("cpu,gpu" if found else "cpu")
        name = settings.WORKER_NAME or f"verdict-{os.getpid()}@%h"
        os.environ.setdefault("CELERY_SKIP_CHECKS", "1")  # Celery's look at all addresses, too
        app.worker_main(
            [
                "worker",
                "--pool=threads",
                f"--concurrency={slots + len(found) * per_device}",
                f"--queues={queues}",
                f"--hostname={name}",
                f"--loglevel={settings.LOG_LEVEL}",
                "--without-gossip",
                "--without-mingle",
            ]
        )


def _within(given: int | None, option: str, default: int) -> int:
    if given is None:
        return default
    if not 1 <= given <= 1024:
        raise CommandError(f"--{option}: found {given}; want 1 to 1024")
    return given
