"""Tasks are an interface: a queue's name in, one call."""

from __future__ import annotations

from celery import shared_task

from experiments.dispatch import CHECK_OBJECTIVES, DELIVER, DRY_RUN, MEASURE, RUN_NEXT
from workers.node import worker


@shared_task(name=RUN_NEXT, ignore_result=True)
def run_next(queue: str) -> None:
    """Claim the next trial of `queue` and run it; doing so twice is harmless."""
    worker.current().run_next(queue)


@shared_task(name=DELIVER, ignore_result=True)
def deliver() -> None:
    """Send the webhooks and mails that are due; doing so twice is harmless."""
    worker.current().deliver()


@shared_task(name=MEASURE, ignore_result=True)
def measure(queue: str) -> None:
    """Measure the batch sizes that somebody asked for; doing so twice is harmless."""
    worker.current().measure(queue)


@shared_task(name=CHECK_OBJECTIVES, ignore_result=True)
def check_objectives() -> None:
    """Answer what was asked about objectives; doing so twice is harmless."""
    worker.current().check_objectives()


@shared_task(name=DRY_RUN, ignore_result=True)
def dry_run(queue: str) -> None:
    """Do the dry run that somebody asked for; doing so twice is harmless."""
    worker.current().dry_run(queue)
