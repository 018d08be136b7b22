"""`manage.py read_studies FILE`: the studies of an uploaded file, for the process that asks."""

from __future__ import annotations

import resource
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from experiments.tracking.imports.foreign_runs import UnreadableSource
from experiments.tracking.imports.optuna_files import MOST_BYTES, SECONDS, as_text, refusal
from workers.search.exchange import open_storage, read_study, study_names


class Command(BaseCommand):
    help = "Print the studies of an uploaded file of Optuna's as JSON, within limits."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file")

    def handle(self, *args: Any, **options: Any) -> None:
        memory, answer = MOST_BYTES
        for kind, most in (
            (resource.RLIMIT_AS, memory),
            (resource.RLIMIT_FSIZE, answer),
            (resource.RLIMIT_CPU, SECONDS),
        ):
            resource.setrlimit(kind, (most, most))
        file = options["file"]
        try:
            source = open_storage(file, must_exist=True)
            names = study_names(source, file)
            text = as_text(read_study(source, file, name) for name in names)
        except UnreadableSource as error:
            text = refusal(error)
        self.stdout.write(text)
