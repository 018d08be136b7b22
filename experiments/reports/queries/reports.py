"""Reports of a project, their versions and their frozen copies."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, QuerySet
from pydantic import TypeAdapter

from experiments.errors import Conflict, NotFound
from experiments.models import FrozenReport, ReportVersion
from experiments.reports.queries.embedded import Embedded
from experiments.reports.report_text import Prose
from experiments.team.queries.access import Access
from experiments.web.pagination import FIRST_PAGE, Page, PageOf, page_bounds


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A report in a list, by its present version."""

    id: int
    title: str
    author: str
    created_at: datetime
    version: int
    changed_by: str
    changed_at: datetime
    archived_at: datetime | None


@dataclass(frozen=True, slots=True)
class Report(ReportRow):
    """A report with its Markdown, in its present version or an earlier one (`version`); `newest`
    is the number of the present one.
    """

    text: str
    newest: int

    @property
    def is_newest(self) -> bool:
        return self.version == self.newest


@dataclass(frozen=True, slots=True)
class VersionRow:
    number: int
    title: str
    size: int  # characters
    saved_by: str
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class FrozenRow:
    """A frozen copy in a list."""

    id: int
    version: int
    title: str
    frozen_by: str
    frozen_at: datetime
    digest: str


@dataclass(frozen=True, slots=True)
class FrozenContent:
    """A report with what its addresses showed when it was frozen."""

    project: str
    title: str
    author: str
    changed_by: str
    changed_at: datetime
    frozen_at: datetime
    parts: tuple[Prose | Embedded, ...]


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen copy with its content."""

    id: int
    report: int
    version: int
    frozen_by: str
    digest: str
    content: FrozenContent


CONTENT = TypeAdapter(FrozenContent)


def _present(access: Access) -> QuerySet[ReportVersion]:
    """Present versions of the reports of a project, the newest change first."""
    rows = ReportVersion.objects.filter(
        report__project_id=access.project_id, number=F("report__version")
    )
    return rows.select_related("report__created_by").order_by("-saved_at", "-pk")


def list_reports(
    access: Access, *, text: str = "", archived: bool = False, page: PageOf = FIRST_PAGE
) -> Page[ReportRow]:
    """A page of a project's reports, the newest change first; `text` stands in title or text."""
    rows = _present(access).filter(report__archived_at__isnull=not archived)
    for word in text.split():
        rows = rows.filter(title__icontains=word) | rows.filter(text__icontains=word)
    total = rows.count()
    number, start, end = page_bounds(page, total)
    return Page(
        [_row(version) for version in rows.defer("text")[start:end]], number, total, page.size
    )


def count_archived(access: Access) -> int:
    return _present(access).filter(report__archived_at__isnull=False).count()


def find_report(access: Access, report: int, version: int | None = None) -> Report | None:
    """A report in its present version, or in an earlier one."""
    rows = ReportVersion.objects.filter(
        report_id=report,
        report__project_id=access.project_id,
        number=F("report__version") if version is None else version,
    )
    row = rows.select_related("report__created_by").first()
    if row is None:
        return None
    shown = _row(row)
    fields = {name: getattr(shown, name) for name in ReportRow.__slots__}
    return Report(**fields, text=row.text, newest=row.report.version)


def get_report(access: Access, report: int, version: int | None = None) -> Report:
    """A report in its present version, or in an earlier one.

    Raises:
        NotFound: when the project has no such report or version.
    """
    found = find_report(access, report, version)
    if found is None:
        words = f"report {report}" + (f" in version {version}" if version is not None else "")
        raise NotFound(f"{access.slug} has no {words}.")
    return found


def versions_of(access: Access, report: int, page: PageOf = FIRST_PAGE) -> Page[VersionRow]:
    """Versions of a report, the newest first."""
    rows = ReportVersion.objects.filter(
        report_id=report, report__project_id=access.project_id
    ).order_by("-number")
    total = rows.count()
    number, start, end = page_bounds(page, total)
    found = [
        VersionRow(row.number, row.title, len(row.text), row.saved_by_name, row.saved_at)
        for row in rows[start:end]
    ]
    return Page(found, number, total, page.size)


def frozen_of(access: Access, report: int) -> tuple[FrozenRow, ...]:
    """Frozen copies of a report, the newest first."""
    rows = FrozenReport.objects.filter(
        version__report_id=report, version__report__project_id=access.project_id
    )
    return tuple(
        FrozenRow(
            row.pk,
            row.version.number,
            row.version.title,
            row.frozen_by_name,
            row.frozen_at,
            row.digest,
        )
        for row in rows.select_related("version").defer("content", "version__text")
    )


def find_frozen(access: Access, frozen: int) -> Frozen | None:
    """A frozen copy of a report of this project.

    Raises:
        Conflict: when its content was altered.
    """
    rows = FrozenReport.objects.filter(version__report__project_id=access.project_id, pk=frozen)
    row = rows.select_related("version").defer("version__text").first()
    if row is None:
        return None
    content = zlib.decompress(bytes(row.content))
    if hashlib.sha256(content).hexdigest() != row.digest:
        raise Conflict("This copy is not what was frozen: its digest does not match its content.")
    return Frozen(
        id=row.pk,
        report=row.version.report_id,
        version=row.version.number,
        frozen_by=row.frozen_by_name,
        digest=row.digest,
        content=CONTENT.validate_json(content),
    )


def _row(version: ReportVersion) -> ReportRow:
    report = version.report
    return ReportRow(
        id=report.pk,
        title=version.title,
        author=report.created_by.get_username(),
        created_at=report.created_at,
        version=version.number,
        changed_by=version.saved_by_name,
        changed_at=version.saved_at,
        archived_at=report.archived_at,
    )
