"""`manage.py node_health`: the health check of a container; exits 1 when its worker is silent."""

from __future__ import annotations

import socket
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from experiments.trials.lifecycle.queries import workers


class Command(BaseCommand):
    # Those of addresses would import the pages, whose packages a worker does without.
    requires_system_checks = ()
    help = "Exit with 0 when a worker of this host has had a heartbeat lately, else with 1."

    def handle(self, *args: Any, **options: Any) -> None:
        host = socket.gethostname()
        try:
            lives = workers.lives_on(host)
        except DatabaseError as error:
            raise CommandError(f"the database is away: {error}") from None
        if not lives:
            raise CommandError(f"no worker of {host} has had a heartbeat lately")
        self.stdout.write(f"a worker of {host} is alive")
