"""`manage.py deliver`: send what is due without a worker node, as from a scheduler."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from experiments.trials.lifecycle.services import stalled
from workers.delivery.deliveries import send_due


class Command(BaseCommand):
    help = (
        "Look for stalled experiments and waiting verdicts once, and send the webhooks and mails "
        "that are due. Worker nodes do this automatically; a scheduler that runs this also hears "
        "when the last of them is gone."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        stalled.check()
        made = send_due()
        self.stdout.write(f"{made} sent or tried.")
