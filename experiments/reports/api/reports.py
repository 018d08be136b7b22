"""Reports: read, written and frozen by programs."""

from __future__ import annotations

from typing import Annotated

from ninja import Field, Router, Status
from pydantic import StringConstraints

from experiments.errors import NotFound
from experiments.reports.queries import reports as queries
from experiments.reports.queries.reports import Frozen, FrozenRow, Report, ReportRow, VersionRow
from experiments.reports.services import reports as services
from experiments.team.api import auth
from experiments.team.queries.access import Access
from experiments.web import api_bodies
from experiments.web.api_schemas import (
    PAGED,
    Paged,
    PageNumber,
    PageSize,
    Strict,
    answer,
    paged,
    schema_of,
)
from experiments.web.pagination import PAGE_SIZE, PageOf
from experiments.web.requests import TokenRequest

router = Router(tags=["reports"])
_REPORT = schema_of(Report, "WrittenReport")
_WRITTEN = {200: _REPORT, **auth.WRITE_ERRORS}
FrozenOut = schema_of(Frozen, "FrozenReport")
_PLACE = "/{slug}/reports/{int:report}"
Number = Annotated[int, Field(ge=1, lt=2**31)]


class ReportIn(Strict):
    """Title, and Markdown in which a line that is an address becomes its charts and tables."""

    title: Annotated[str, StringConstraints(max_length=services.LONGEST_TITLE)]
    text: Annotated[str, StringConstraints(max_length=services.LONGEST_TEXT)] = ""


class EditedReportIn(ReportIn):
    """`version`: the one that was read; a report that has a newer one is not overwritten (409)."""

    version: Number


class VersionIn(Strict):
    version: Number


@router.get(
    "/{slug}/reports",
    response={200: answer("WrittenReports", reports=[ReportRow], **PAGED), **auth.READ_ERRORS},
)
def list_reports(
    request: TokenRequest,
    slug: str,
    q: Annotated[str, StringConstraints(max_length=200)] = "",
    archived: bool = False,
    page: PageNumber = 1,
    per_page: PageSize = PAGE_SIZE,
) -> Paged[ReportRow]:
    """Reports of a project, the newest change first; `q` stands in title or text."""
    access = auth.reading(request, slug)
    wanted = PageOf(page, per_page, exact=True)
    found = queries.list_reports(access, text=q, archived=archived, page=wanted)
    return paged("reports", found)


@router.post(
    "/{slug}/reports",
    response={201: _REPORT, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(ReportIn),
)
def create_report(request: TokenRequest, slug: str) -> Status[Report]:
    """Write a report."""
    access = auth.writing(request, slug)
    asked = api_bodies.read(request, ReportIn)
    made = services.create(access=access, title=asked.title, text=asked.text)
    return Status(201, queries.get_report(access, made))


@router.get(_PLACE, response={200: _REPORT, **auth.READ_ERRORS})
def read_report(
    request: TokenRequest, slug: str, report: int, version: Number | None = None
) -> Report:
    """A report with its Markdown, or an earlier version of it."""
    return queries.get_report(auth.reading(request, slug), report, version)


@router.put(_PLACE, response=_WRITTEN, openapi_extra=api_bodies.described(EditedReportIn))
def save_report(request: TokenRequest, slug: str, report: int) -> Report:
    """Save a report as a new version; the one before stays."""
    access = auth.writing(request, slug)
    asked = api_bodies.read(request, EditedReportIn)
    return services.save(access=access, report=report, **asked.dict())


@router.get(
    f"{_PLACE}/versions",
    response={200: answer("ReportVersions", versions=[VersionRow], **PAGED), **auth.READ_ERRORS},
)
def list_versions(
    request: TokenRequest,
    slug: str,
    report: int,
    page: PageNumber = 1,
    per_page: PageSize = PAGE_SIZE,
) -> Paged[VersionRow]:
    """Versions of a report, the newest first."""
    access = auth.reading(request, slug)
    queries.get_report(access, report)
    found = queries.versions_of(access, report, PageOf(page, per_page, exact=True))
    return paged("versions", found)


@router.post(f"{_PLACE}/restore", response=_WRITTEN, openapi_extra=api_bodies.described(VersionIn))
def restore_report(request: TokenRequest, slug: str, report: int) -> Report:
    """Make an earlier version the present one, as a new version."""
    access = auth.writing(request, slug)
    version = api_bodies.read(request, VersionIn).version
    return services.restore(access=access, report=report, version=version)


@router.post(f"{_PLACE}/archive", response={204: None, **auth.WRITE_ERRORS})
def archive_report(request: TokenRequest, slug: str, report: int) -> Status[None]:
    """Leave a report out of lists."""
    services.archive(access=auth.writing(request, slug), report=report)
    return Status(204, None)


@router.post(f"{_PLACE}/bring-back", response={204: None, **auth.WRITE_ERRORS})
def bring_report_back(request: TokenRequest, slug: str, report: int) -> Status[None]:
    """List an archived report again."""
    services.archive(access=auth.writing(request, slug), report=report, back=True)
    return Status(204, None)


@router.get(
    f"{_PLACE}/frozen",
    response={200: answer("FrozenReports", frozen=[FrozenRow]), **auth.READ_ERRORS},
)
def list_frozen(request: TokenRequest, slug: str, report: int) -> dict[str, tuple[FrozenRow, ...]]:
    """Frozen copies of a report, the newest first."""
    access = auth.reading(request, slug)
    queries.get_report(access, report)
    return {"frozen": queries.frozen_of(access, report)}


@router.post(f"{_PLACE}/frozen", response={201: FrozenOut, **auth.WRITE_ERRORS})
def freeze_report(request: TokenRequest, slug: str, report: int) -> Status[Frozen]:
    """Keep a copy with every figure and table as it is now."""
    access = auth.writing(request, slug)
    return Status(201, _frozen(access, services.freeze(access=access, report=report)))


@router.get("/{slug}/reports/frozen/{int:frozen}", response={200: FrozenOut, **auth.WRITE_ERRORS})
def read_frozen(request: TokenRequest, slug: str, frozen: int) -> Frozen:
    """A frozen copy: prose, Plotly figures and tables; 409 when it is not what was frozen."""
    return _frozen(auth.reading(request, slug), frozen)


def _frozen(access: Access, frozen: int) -> Frozen:
    found = queries.find_frozen(access, frozen)
    if found is None:
        raise NotFound(f"{access.slug} has no frozen report {frozen}.")
    return found
