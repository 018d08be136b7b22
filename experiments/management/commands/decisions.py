"""`manage.py decisions verify [PROJECT ...] [--head PROJECT=COUNT:HASH] [--receipts FILE]`,
`export PROJECT`, `accept PROJECT --reason TEXT`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from experiments.decisions.queries import champion
from experiments.models import Project
from experiments.verdict.queries.chain_check import broken_log, check_log, walked_log
from experiments.verdict.queries.noted_heads import Head, note_restored_head, noted_heads


class Command(BaseCommand):
    help = "Verify or export the decision log."

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
        verify.add_argument(
            "--receipts",
            action="append",
            default=[],
            metavar="FILE",
            help="messages that a webhook's receiver kept, a JSON body a line: their heads, too",
        )
        verify.add_argument("--json", action="store_true", help="print JSON")
        accept = actions.add_parser(
            "accept", help="take a shorter log for the right one: an older backup was restored"
        )
        accept.add_argument("project")
        accept.add_argument("--reason", required=True, help="stands beside the noted heads")
        export = actions.add_parser("export", help="the whole log as JSON lines, oldest first")
        export.add_argument("project")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _verify(self, options: dict[str, Any]) -> None:
        noted: dict[str, list[Head]] = {}
        heads = [_noted(text) for text in options["head"]]
        for slug, head in [
            *heads,
            *(receipt for name in options["receipts"] for receipt in _receipts(name)),
        ]:
            noted.setdefault(slug, []).append(head)
        asked = [*options["project"], *(noted if options["project"] else ())]
        projects = [_project(slug) for slug in dict.fromkeys(asked)] or [
            *Project.objects.order_by("slug")
        ]
        for slug in noted:
            _project(slug)
        found = [] if asked else _gone(projects)
        found += [
            _Verified(project.slug, *_checked(project, noted.get(project.slug, ())))
            for project in projects
        ]
        if options["json"]:
            self.stdout.write(json.dumps([asdict(log) for log in found], indent=2))
        else:
            for log in found:
                self.stdout.write(log.in_words())
        broken = [log.project for log in found if log.problems]
        if broken:
            raise CommandError(f"The log of {', '.join(broken)} was altered.")

    def _accept(self, options: dict[str, Any]) -> None:
        project = _project(options["project"])
        checked = walked_log(project.pk)
        if checked.problems:
            raise CommandError(
                f"The log of {project.slug} does not hold by itself: {checked.problems[0]}."
            )
        note_restored_head(project.pk, project.slug, checked.head, options["reason"])
        self.stdout.write(f"{project.slug}: noted as it stands, {checked.head.count} entries")

    def _export(self, options: dict[str, Any]) -> None:
        project = _project(options["project"])
        for line in champion.exported(project):
            self.stdout.write(line)
        problems = check_log(project.pk, project.slug).problems
        if problems:
            raise CommandError(broken_log(project.slug, problems).message)


@dataclass(frozen=True, slots=True)
class _Verified:
    """A project's log, walked; `head` is its last hash, "" for one without entries."""

    project: str
    entries: int
    head: str
    problems: tuple[str, ...]
    is_gone: bool = False

    def in_words(self) -> str:
        if self.is_gone:
            return f"{self.project}: the project is gone, BROKEN\n  {self.problems[0]}"
        state = "BROKEN" if self.problems else "the chain holds"
        entries = "1 entry" if self.entries == 1 else f"{self.entries} entries"
        ends = f", head {self.entries}:{self.head}" if self.entries else ""
        problems = "".join(f"\n  {problem}" for problem in self.problems)
        return f"{self.project}: {entries}, {state}{ends}{problems}"


def _checked(project: Project, noted: Sequence[Head]) -> tuple[int, str, tuple[str, ...]]:
    checked = check_log(project.pk, project.slug, *noted)
    return checked.head.count, checked.head.hash, tuple(map(str, checked.problems))


def _gone(projects: list[Project]) -> list[_Verified]:
    """Projects that are gone although the heads of their logs were noted here."""
    there = {project.pk for project in projects}
    return [
        _Verified(
            project=log.slug,
            entries=0,
            head="",
            problems=(f"its log had {log.head.count} entries when its head was noted",),
            is_gone=True,
        )
        for pk, log in noted_heads().items()
        if pk not in there
    ]


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


def _receipts(name: str) -> Iterator[tuple[str, Head]]:
    """The heads in messages that a receiver kept."""
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--receipts {name}: {error}") from None
    for number, line in enumerate(lines, start=1):
        try:
            receipt = json.loads(line)
            if receipt["head"] and receipt["head"]["count"]:
                head = receipt["head"]
                yield str(receipt["project"]), Head.parse(f"{head['count']}:{head['hash']}")
        except (ValueError, KeyError, TypeError):
            raise CommandError(
                f"--receipts {name}: line {number} is no message of a webhook"
            ) from None
