"""`manage.py artifacts sweep`: free the disk of what no record names and no trial uses."""

from __future__ import annotations

import datetime as dt
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from experiments.errors import VerdictError
from experiments.trials.artifacts.services import orphans
from workers.objectives import working_copies


class Command(BaseCommand):
    # Those of addresses would import the pages, whose packages a worker does without.
    requires_system_checks = ()
    help = (
        "Delete files of trials on this machine that no record names (left by processes that were "
        "killed, or by experiments that were deleted from another machine), and working copies "
        "of repositories that no trial has used for long. What is recorded stays."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=("sweep",))
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")
        parser.add_argument(
            "--hours", type=int, default=24, help="spare files younger than that (%(default)s)"
        )
        parser.add_argument(
            "--days", type=int, default=30, help="spare copies used since then (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 <= options["hours"] <= 100_000 or not 1 <= options["days"] <= 10_000:
            raise CommandError("expected --hours from 0 to 100000 and --days from 1 to 10000")
        dry = options["dry_run"]
        now = timezone.now()
        self._files(now, dt.timedelta(hours=options["hours"]), dry=dry)
        self._copies((now - dt.timedelta(days=options["days"])).timestamp(), dry=dry)

    def _files(self, now: dt.datetime, older_than: dt.timedelta, *, dry: bool) -> None:
        try:
            found = orphans.find(older_than=older_than, now=now)
        except VerdictError as error:
            raise CommandError(error.message) from None
        for orphan in found:
            self.stdout.write(f"{orphan.path}  {orphan.size:,} bytes")
        if not dry:
            orphans.remove(found)
        total = sum(orphan.size for orphan in found) / 2**20
        word = "would be deleted" if dry else "deleted"
        self.stdout.write(f"{_counted(len(found), 'file')} {word}, {total:,.1f} MiB")

    def _copies(self, since: float, *, dry: bool) -> None:
        folder = Path(settings.DATA_DIR) / "working_copies"
        found = working_copies.unused(folder, since=since)
        gone = (
            found
            if dry
            else [
                working_copy
                for working_copy in found
                if working_copies.remove(working_copy, since=since)
            ]
        )
        for working_copy in gone:
            self.stdout.write(str(working_copy.relative_to(folder)))
        word = "would be deleted" if dry else "deleted"
        self.stdout.write(f"{_counted(len(gone), 'working copy', 'working copies')} {word}")


def _counted(count: int, one: str, more: str = "") -> str:
    return f"1 {one}" if count == 1 else f"{count} {more or one + 's'}"
