"""Write, restore, archive and freeze the reports of a project."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection

from django.db import transaction
from django.utils import timezone
from pydantic import TypeAdapter

from experiments.errors import Conflict, Problem, VerdictError
from experiments.models import FrozenReport, ReportVersion, WrittenReport
from experiments.models.project import Role
from experiments.reports.queries.embedded import Embedded, embedded, too_much
from experiments.reports.queries.reports import CONTENT, FrozenContent, Report, get_report
from experiments.reports.report_text import MOST_EMBEDDED, Address, Prose, parts_of
from experiments.team.queries.access import Access
from experiments.team.services.changes import note

_EMBEDDED = TypeAdapter(Embedded)
LONGEST_TITLE, LONGEST_TEXT = 200, 200_000  # characters
LARGEST_FROZEN = 24 * 2**20  # bytes of JSON


class ReportChanged(Conflict):
    """Somebody else has saved the report since it was opened; nothing was overwritten."""


def create(*, access: Access, title: str, text: str) -> int:
    """Write a report; its id.

    Raises:
        VerdictError: for a title or text that is too long, or no title.
        NotAllowed: for someone who is no editor of the project.
    """
    access.require(Role.EDITOR)
    title, text = _checked(title, text)
    with transaction.atomic():
        report = WrittenReport.objects.create(project_id=access.project_id, created_by=access.user)
        _add_version(access, report.pk, 1, title, text)
        note(access, f"wrote the report {title}")
    return report.pk


def save(*, access: Access, report: int, title: str, text: str, version: int) -> Report:
    """Save a report that was opened in `version`; what it said before stays in its history.

    Raises:
        ReportChanged: when it has a newer version.
        VerdictError: for a title or text that is too long, or no title.
        NotFound: when the project has no such report.
        NotAllowed: for someone who is no editor of the project.
    """
    access.require(Role.EDITOR)
    title, text = _checked(title, text)
    with transaction.atomic():
        present = get_report(access, report)
        if present.version == version and (present.title, present.text) == (title, text):
            return present
        moved = WrittenReport.objects.filter(
            pk=report, project_id=access.project_id, version=version
        ).update(version=version + 1)
        if not moved:
            present = get_report(access, report)  # it may have moved since it was read
            raise ReportChanged(
                f"{present.changed_by} has saved version {present.version} since you opened "
                f"version {version}. Nothing was overwritten: both texts are below."
            )
        _add_version(access, report, version + 1, title, text)
    return get_report(access, report)


def restore(*, access: Access, report: int, version: int) -> Report:
    """Make an earlier version the present one, as a new version.

    Raises:
        NotFound: when the project has no such report or version.
        NotAllowed: for someone who is no editor of the project.
    """
    access.require(Role.EDITOR)
    earlier = get_report(access, report, version)
    return save(
        access=access,
        report=report,
        title=earlier.title,
        text=earlier.text,
        version=earlier.newest,
    )


def archive(*, access: Access, report: int, back: bool = False) -> None:
    """Leave a report out of lists; its pages, copies and links stay. `back` lists it again.

    Raises:
        NotFound: when the project has no such report.
        NotAllowed: for someone who is no editor of the project.
    """
    access.require(Role.EDITOR)
    found = get_report(access, report)
    with transaction.atomic():
        rows = WrittenReport.objects.filter(
            pk=report, project_id=access.project_id, archived_at__isnull=not back
        )
        if rows.update(archived_at=None if back else timezone.now()):
            note(access, f"{'listed again' if back else 'archived'} the report {found.title}")


def freeze(*, access: Access, report: int, hosts: Collection[str] = ()) -> int:
    """Keep a copy of the present version with its figures and tables as they are now; its id.

    Raises:
        Conflict: when its charts are more than a copy holds.
        NotFound: when the project has no such report.
        NotAllowed: for someone who is no editor of the project.
    """
    access.require(Role.EDITOR)
    found = get_report(access, report)
    now = timezone.now()
    content = FrozenContent(
        project=access.name,
        title=found.title,
        author=found.author,
        changed_by=found.changed_by,
        changed_at=found.changed_at,
        frozen_at=now,
        parts=_shown(access, found.text, hosts),
    )
    written = CONTENT.dump_json(content)
    with transaction.atomic():
        row = FrozenReport.objects.create(
            version=ReportVersion.objects.get(report_id=report, number=found.version),
            content=zlib.compress(written),
            digest=hashlib.sha256(written).hexdigest(),
            frozen_by=access.user,
            frozen_by_name=access.username,
            frozen_at=now,
        )
        note(access, f"froze version {found.version} of the report {found.title}")
    return row.pk


def _shown(access: Access, text: str, hosts: Collection[str]) -> tuple[Prose | Embedded, ...]:
    """Prose, and what each address shows."""
    shown: list[Prose | Embedded] = []
    left = LARGEST_FROZEN
    for part in parts_of(text, hosts):
        if isinstance(part, Address):
            found = too_much(part) or embedded(access, part.text)
            left -= len(_EMBEDDED.dump_json(found))
            if left < 0:
                raise Conflict(
                    "The charts of this report are too large for one copy "
                    f"({LARGEST_FROZEN // 2**20} MB): embed fewer, or of fewer runs."
                )
            shown.append(found)
        else:
            shown.append(part)
    return tuple(shown)


def _add_version(access: Access, report: int, number: int, title: str, text: str) -> None:
    ReportVersion.objects.create(
        report_id=report,
        number=number,
        title=title,
        text=text,
        saved_by=access.user,
        saved_by_name=access.username,
    )


def _checked(title: str, text: str) -> tuple[str, str]:
    """Title and text as they are kept.

    Raises:
        VerdictError: with everything that is wrong with them.
    """
    title, text = " ".join(title.split()), text.replace("\r\n", "\n")
    problems = []
    if not title:
        problems.append(Problem("title", "give the report a title"))
    if len(title) > LONGEST_TITLE:
        problems.append(Problem("title", f"use at most {LONGEST_TITLE} characters"))
    if len(text) > LONGEST_TEXT:
        problems.append(Problem("text", f"use at most {LONGEST_TEXT:,} characters"))
    if "\0" in title + text:
        problems.append(Problem("text", "take out the null character"))
    if not problems:
        count = sum(isinstance(part, Address) for part in parts_of(text, ()))
        if count > MOST_EMBEDDED:
            problems.append(
                Problem("text", f"embed at most {MOST_EMBEDDED} addresses; these are {count}")
            )
    if problems:
        raise VerdictError("The report was not saved.", problems)
    return title, text
