"""`manage.py experiment`: the commands of `verdict` that are about experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from experiments.management.experiment_commands import experiment_group


class Command(BaseCommand):
    requires_system_checks = ()
    help = "Run, check, list, show and control experiments."

    def run_from_argv(self, argv: list[str]) -> None:
        experiment_group.main(argv[2:], prog_name=f"{Path(argv[0]).name} {argv[1]}")

    def handle(self, *args: Any, **options: Any) -> None:
        raise CommandError("experiments.management.experiment_commands has the functions")
