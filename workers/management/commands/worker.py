"""`manage.py worker`: run trials from the queue, a training process for each slot."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from workers.celery import app


class Command(BaseCommand):
    help = "Run trials from the queue: a Celery worker with one training process for each slot."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--queues", default="cpu", help="comma-separated (default: cpu)")
        parser.add_argument("--slots", type=int, help="trials at a time (default: WORKER_SLOTS)")
        parser.add_argument("--name", default="", help="the node's name (default: Celery's)")

    def handle(self, *args: Any, **options: Any) -> None:
        slots = options["slots"] or settings.WORKER_SLOTS
        settings.WORKER_SLOTS = slots
        name = options["name"] or f"verdict-{os.getpid()}@%h"
        app.worker_main(
            [
                "worker",
                "--pool=threads",
                f"--concurrency={slots}",
                f"--queues={options['queues']}",
                f"--hostname={name}",
                f"--loglevel={settings.LOG_LEVEL}",
                "--without-gossip",
                "--without-mingle",
            ]
        )
