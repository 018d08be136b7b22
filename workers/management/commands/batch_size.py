"""`manage.py batch_size FILE`: which batch size uses this machine best."""

from __future__ import annotations

import os
import platform
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from experiments.design.batch_size_plan import parameters_of
from experiments.design.document import experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.errors import VerdictError
from experiments.trials.batch_size_results import answer
from experiments.trials.lifecycle.services import batch_sizes
from workers.node.devices import find
from workers.training.batch_size import Measured, in_a_process, sizes_up


class Command(BaseCommand):
    help = (
        "Run the training function of an experiment file with doubled batch sizes until memory "
        "ends or throughput rises no more, and say which size to take. The first known-good "
        "configuration gives the other parameters, else the middle of the search space."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--parameter", default="batch_size", help="its name in the file")
        parser.add_argument("--first", type=int, default=8)
        parser.add_argument("--largest", type=int, default=2**20)
        parser.add_argument("--steps", type=int, default=20, help="steps that are timed")
        parser.add_argument("--memory", type=int, default=0, help="a cap on CPU memory, in MiB")
        parser.add_argument("--no-record", action="store_true", help="print only")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            file = experiment_file.parse(options["file"].read_text(encoding="utf-8"))
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from error
        except VerdictError as error:
            raise CommandError("\n".join([error.message, *map(str, error.problems)])) from error
        try:
            parameters = parameters_of(file, options["parameter"])
        except VerdictError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{'batch':>8}{'examples/s':>14}{'ms a step':>12}{'peak MiB':>11}")
        rows = sizes_up(
            self._aloud(
                in_a_process(
                    file.objective,
                    parameters,
                    parameter=options["parameter"],
                    steps=options["steps"],
                    memory_mb=options["memory"],
                )
            ),
            first=options["first"],
            largest=options["largest"],
        )
        self._say(file, parameters, [asdict(row) for row in rows], record=not options["no_record"])

    def _aloud(self, measure: Callable[[int], Measured]) -> Callable[[int], Measured]:
        def aloud(batch: int) -> Measured:
            row = measure(batch)
            if row.ended:
                self.stdout.write(f"{batch:>8}  {row.ended}: {row.reason}")
            else:
                self.stdout.write(
                    f"{batch:>8}{row.examples_per_second or 0:>14,.0f}"
                    f"{1000 * (row.step_seconds or 0):>12.2f}{row.peak_memory_mb or 0:>11,.0f}"
                )
            return row

        return aloud

    def _say(
        self,
        file: ExperimentFile,
        parameters: dict[str, Any],
        rows: list[dict[str, Any]],
        *,
        record: bool,
    ) -> None:
        if not record:
            self.stdout.write(answer(rows))
            return
        devices = find("auto", os.environ)
        try:
            summary = batch_sizes.record(
                project=file.project,
                objective=file.objective,
                parameters=parameters,
                device=devices[0].name if devices else "cpu",
                host=platform.node(),
                rows=rows,
            )
        except VerdictError as error:
            raise CommandError(f"{error.message} Measure with --no-record.") from error
        self.stdout.write(summary)
