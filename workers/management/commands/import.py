"""`manage.py import FORMAT SOURCE`: runs of another tracker, or studies of Optuna."""

from __future__ import annotations

import itertools
import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click
from django.core.management.base import BaseCommand, CommandError

from experiments.errors import VerdictError
from experiments.management.acting_person import person
from experiments.team.queries.access import get_project
from experiments.tracking.imports.foreign_runs import ReadOptions
from experiments.tracking.imports.formats import FORMATS, read
from experiments.tracking.services.imports import (
    ImportOptions,
    ImportReport,
    import_runs,
)
from experiments.trials.lifecycle.services import copied_studies
from experiments.trials.lifecycle.services.copied_studies import Copied
from experiments.trials.lifecycle.services.studies import FREE_PROJECT
from workers.search.exchange import open_storage, read_study, study_names

_INTERRUPTED = 130  # exit status of a program that Ctrl-C ended


class Command(BaseCommand):
    help = "Bring runs of another tracker, or studies of one of Optuna's own storages, in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        formats = "; ".join(
            f"{name}: {known_format.summary}" for name, known_format in FORMATS.items()
        )
        parser.add_argument("format", choices=("optuna", *FORMATS), help=formats)
        parser.add_argument(
            "source",
            help="file, folder or URL; of Optuna sqlite:///file.db, postgresql://..., "
            "mysql://..., redis://..., journal.log",
        )
        parser.add_argument(
            "study", nargs="*", help="of Optuna: its name (default: all that are there)"
        )
        parser.add_argument("--project", help=f"slug; default: {FREE_PROJECT}, for studies only")
        parser.add_argument("--experiment", default="", help="one experiment for all runs")
        parser.add_argument("--official-metric", default="", help="metric to judge the runs by")
        parser.add_argument("--direction", default="", choices=("minimize", "maximize"))
        parser.add_argument("--params", default="", help="CSV columns of parameters: a,b")
        parser.add_argument("--metrics", default="", help="CSV columns of metrics: a,b")
        parser.add_argument("--user", help="act as this user (default: the first superuser)")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["format"] == "optuna":
                self._import_studies(options)
            else:
                self._import_runs(options)
        except VerdictError as error:
            lines = [error.message, *(f"  {problem}" for problem in error.problems)]
            raise CommandError("\n".join(lines)) from None
        except KeyboardInterrupt:
            raise CommandError(
                "Interrupted. What was imported stays; the same command goes on.",
                returncode=_INTERRUPTED,
            ) from None

    def _import_runs(self, options: dict[str, Any]) -> None:
        if not options["project"]:
            raise CommandError("--project is missing: the slug of the project to import into.")
        access = get_project(person(options["user"]), options["project"])
        source = read(
            options["format"],
            options["source"],
            ReadOptions(_names(options["params"]), _names(options["metrics"])),
        )
        if not options["json"]:
            for remark in source.remarks:
                self.stdout.write(remark)
        chosen = ImportOptions(
            format=options["format"],
            experiment=options["experiment"],
            official_metric=options["official_metric"],
            direction=options["direction"],
        )
        with progress_bar(source.total, "Importing") as progress:
            report = import_runs(access=access, source=source, options=chosen, progress=progress)
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report), indent=2, ensure_ascii=False))
        else:
            self._tell(report, access.slug)

    def _tell(self, report: ImportReport, project: str) -> None:
        self.stdout.write(
            f"{report.added} runs added, {report.updated} brought up to date, "
            f"{report.unchanged} unchanged"
        )
        for name in report.experiments:
            self.stdout.write(f"  {project}/{name}")
        for remark in report.left_out:
            self.stdout.write(f"left out: {remark}")

    def _import_studies(self, options: dict[str, Any]) -> None:
        url, project = options["source"], options["project"] or FREE_PROJECT
        source = open_storage(url, must_exist=True)
        found = []
        for name in options["study"] or study_names(source, url):
            original = read_study(source, url, name)
            with progress_bar(len(original.trials), name) as progress:
                found.append(copied_studies.copy(original, project=project, progress=progress))
            if not options["json"]:
                self._tell_of_study(found[-1])
        if options["json"]:
            outcomes = [asdict(copied) for copied in found]
            self.stdout.write(json.dumps(outcomes, indent=2, ensure_ascii=False))

    def _tell_of_study(self, copied: Copied) -> None:
        self.stdout.write(
            f"{copied.study}: {copied.added} trials added, {copied.updated} brought up to date, "
            f"{copied.unchanged} unchanged"
        )


@contextmanager
def progress_bar(total: int | None, label: str) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal's standard error, told how many are done."""
    things = itertools.repeat(None)
    with click.progressbar(
        things,
        length=total,
        label=f"{label:.40}",
        show_pos=True,
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as bar:
        yield lambda done: bar.update(done - bar.pos)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
