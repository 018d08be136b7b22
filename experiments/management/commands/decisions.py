"""`manage.py decisions verify [PROJECT ...] [--head PROJECT=COUNT:HASH] | export PROJECT`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from experiments.decisions.queries import champion
from experiments.decisions.queries.chain_check import Head, check_log
from experiments.models import Project


class Command(BaseCommand):
    help = "Check that the log of decisions is what was written, or write it out."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        verify = actions.add_parser("verify", help="walk each project's chain; exits 1 if broken")
        verify.add_argument("project", nargs="*", help="slugs (default: every project)")
        verify.add_argument(
            "--head",
            action="append",
            default=[],
            metavar="PROJECT=COUNT:HASH",
            help="a head noted earlier: shows whether newer entries were cut off",
        )
        export = actions.add_parser("export", help="the whole log as JSON lines, oldest first")
        export.add_argument("project")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _verify(self, options: dict[str, Any]) -> None:
        noted = dict(_noted(text) for text in options["head"])
        asked = [*options["project"], *(noted if options["project"] else ())]
        projects = [_project(slug) for slug in dict.fromkeys(asked)] or [
            *Project.objects.order_by("slug")
        ]
        for slug in noted:
            _project(slug)
        broken = []
        for project in projects:
            checked = check_log(project, noted.get(project.slug))
            held = "BROKEN" if checked.problems else "the chain holds"
            entries = "1 entry" if checked.head.count == 1 else f"{checked.head.count} entries"
            head = f", head {checked.head.count}:{checked.head.hash}" if checked.head.count else ""
            self.stdout.write(f"{project.slug}: {entries}, {held}{head}")
            for problem in checked.problems:
                self.stdout.write(f"  {problem}")
            broken += [project.slug] if checked.problems else []
        if broken:
            raise CommandError(f"The log of {', '.join(broken)} is not what was written.")

    def _export(self, options: dict[str, Any]) -> None:
        for line in champion.exported(_project(options["project"])):
            self.stdout.write(line)


def _project(slug: str) -> Project:
    found = Project.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Project.objects.order_by("slug").values_list("slug", flat=True)[:20])
        raise CommandError(f"There is no project {slug}; there are: {known or 'none'}.")
    return found


def _noted(text: str) -> tuple[str, Head]:
    slug, _, head = text.partition("=")
    try:
        return slug, Head.parse(head)
    except ValueError as error:
        raise CommandError(f"--head {text}: {error} (PROJECT=COUNT:HASH)") from None
