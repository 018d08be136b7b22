"""Reports of a project: the list, one with its live charts and tables, writing, its versions."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from zlib import crc32

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from experiments.errors import VerdictError
from experiments.reports.queries.embedded import Embedded, embeddable, embedded, too_much
from experiments.reports.queries.reports import (
    Report,
    count_archived,
    frozen_of,
    get_report,
    list_reports,
    versions_of,
)
from experiments.reports.report_text import LONGEST_ADDRESS, Prose, parts_of
from experiments.reports.services import reports
from experiments.reports.services.reports import LONGEST_TEXT, LONGEST_TITLE, ReportChanged
from experiments.team.pages.access import done, explain, in_project, whole_number
from experiments.team.queries.access import Access
from experiments.web.pagination import PageOf

MOST_DIFFERENCES = 400  # lines


@dataclass(frozen=True, slots=True)
class Place:
    """A place whose chart or table is fetched from `url` when it comes near: until then it shows
    `words`, with a link where there is a `path`.
    """

    words: str
    path: str
    url: str


@require_safe
@in_project
def reports_page(request: HttpRequest, access: Access) -> HttpResponse:
    """Reports of a project, the newest change first."""
    text, archived = request.GET.get("q", "").strip()[:200], request.GET.get("archived") == "1"
    page = PageOf(whole_number(request.GET.get("page")))
    context = {
        "project": access,
        "section": "reports",
        "page": list_reports(access, text=text, archived=archived, page=page),
        "text": text,
        "archived": archived,
        "archived_count": count_archived(access),
    }
    return render(request, "reports/list.html", context)


@require_safe
@in_project
def report_page(request: HttpRequest, access: Access, report: int) -> HttpResponse:
    """A report, or an earlier version of it, with charts and tables as they are now."""
    asked = request.GET.get("version", "")
    found = get_report(access, report, whole_number(asked, 0) if asked else None)
    context = {
        "project": access,
        "section": "reports",
        "report": found,
        "parts": placed(request, access, found.text),
        "copies": frozen_of(access, report),
    }
    return render(request, "reports/report.html", context)


@require_safe
@in_project
def embedded_part(request: HttpRequest, access: Access) -> HttpResponse:
    """The chart or table of an address, for the script that puts it into a report."""
    address = request.GET.get("address", "")[: LONGEST_ADDRESS + 1]
    context = {
        "project": access,
        "part": embedded(access, address),
        "key": f"{crc32(address.encode()):08x}-{whole_number(request.GET.get('copy'), 0)}",
    }
    return render(request, "reports/_embedded.html", context)


@require_POST
@in_project
def preview(request: HttpRequest, access: Access) -> HttpResponse:
    """A text as the report would show it."""
    text = request.POST.get("text", "")[:LONGEST_TEXT]
    context = {"project": access, "parts": placed(request, access, text)}
    return render(request, "reports/_parts.html", context)


def placed(request: HttpRequest, access: Access, text: str) -> list[Prose | Place | Embedded]:
    """Prose, and where the charts and tables of addresses go."""
    found: list[Prose | Place | Embedded] = []
    for part in parts_of(text, (request.get_host(),)):
        if isinstance(part, Prose):
            found.append(part)
            continue
        page = too_much(part) or embeddable(access, part.text)
        if isinstance(page, Embedded):
            found.append(page)
            continue
        query = urlencode({"address": part.text, "copy": part.copy})
        url = f"{reverse('report_embedded', args=[access.slug])}?{query}"
        found.append(Place(part.text, page.path, url))
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@in_project
def new_report(request: HttpRequest, access: Access) -> HttpResponse:
    """Write a report."""
    title, text = request.POST.get("title", ""), request.POST.get("text", "")
    if request.method == "POST":
        try:
            made = reports.create(access=access, title=title, text=text)
        except VerdictError as error:
            return _refused(request, access, error, title, text)
        return redirect("report", access.slug, made)
    return render(request, "reports/edit.html", _editor(request, access, title, text))


@require_http_methods(["GET", "HEAD", "POST"])
@in_project
def edit_report(request: HttpRequest, access: Access, report: int) -> HttpResponse:
    """Edit a report; who saves second is shown both texts."""
    found = get_report(access, report)
    if request.method != "POST":
        context = _editor(request, access, found.title, found.text, found)
        return render(request, "reports/edit.html", context)
    title, text = request.POST.get("title", ""), request.POST.get("text", "")
    version = whole_number(request.POST.get("version"), 0)
    try:
        reports.save(access=access, report=report, title=title, text=text, version=version)
    except VerdictError as error:
        return _refused(request, access, error, title, text, found)
    messages.success(request, "Saved.")
    return redirect("report", access.slug, report)


def _refused(
    request: HttpRequest,
    access: Access,
    error: VerdictError,
    title: str,
    text: str,
    report: Report | None = None,
) -> HttpResponse:
    """The editor with what was typed, and why it was not saved."""
    if error.status in (403, 404):
        raise error
    context = _editor(request, access, title, text, report)
    if isinstance(error, ReportChanged) and report is not None:
        theirs = get_report(access, report.id)  # the newest: it may have changed once more
        context |= {
            "report": theirs,
            "theirs": theirs,
            "differences": _differences(theirs.text, text),
            "refused": error.message,
        }
    else:
        explain(request, error)
    return render(request, "reports/edit.html", context, status=error.status)


def _differences(theirs: str, mine: str) -> Sequence[tuple[str, str]]:
    """Lines of theirs that are gone (`removed`) and of mine that are new (`added`)."""
    normal = mine.replace("\r\n", "\n")
    lines = difflib.unified_diff(theirs.splitlines(), normal.splitlines(), lineterm="", n=2)
    kinds = {"+": "added", "-": "removed", "@": "place"}
    found = [(kinds.get(line[:1], "same"), line) for line in list(lines)[2:]]
    return found[:MOST_DIFFERENCES]


def _editor(
    request: HttpRequest, access: Access, title: str, text: str, report: Report | None = None
) -> dict[str, Any]:
    return {
        "project": access,
        "section": "reports",
        "report": report,
        "title": title,
        "text": text,
        "parts": placed(request, access, text),
        "longest_title": LONGEST_TITLE,
        "longest_text": LONGEST_TEXT,
    }


@require_safe
@in_project
def history_page(request: HttpRequest, access: Access, report: int) -> HttpResponse:
    """Versions of a report, the newest first."""
    context = {
        "project": access,
        "section": "reports",
        "report": get_report(access, report),
        "page": versions_of(access, report, PageOf(whole_number(request.GET.get("page")))),
    }
    return render(request, "reports/history.html", context)


@require_POST
@in_project
def restore_version(request: HttpRequest, access: Access, report: int) -> HttpResponse:
    """Make an earlier version the present one."""
    version = whole_number(request.POST.get("version"), 0)
    done(
        request,
        lambda: reports.restore(access=access, report=report, version=version),
        f"Version {version} is restored as a new version.",
    )
    return redirect("report", access.slug, report)


@require_POST
@in_project
def archive_report(request: HttpRequest, access: Access, report: int) -> HttpResponse:
    """Leave a report out of lists."""
    message = "Archived: hidden from lists; its page remains."
    done(request, lambda: reports.archive(access=access, report=report), message)
    return redirect("report", access.slug, report)


@require_POST
@in_project
def bring_report_back(request: HttpRequest, access: Access, report: int) -> HttpResponse:
    """List an archived report again."""
    done(
        request,
        lambda: reports.archive(access=access, report=report, back=True),
        "It is listed again.",
    )
    return redirect("report", access.slug, report)
