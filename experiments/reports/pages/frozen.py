"""Frozen copies of reports: made, read, and as one file that a browser opens from disk."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.text import slugify
from django.views.decorators.http import require_POST, require_safe

from experiments.decisions.queries.shared_links import working_links
from experiments.errors import Conflict
from experiments.reports.pages.one_file import one_file
from experiments.reports.pages.reports import Place
from experiments.reports.queries.embedded import Embedded
from experiments.reports.queries.reports import Frozen, find_frozen
from experiments.reports.report_text import Prose
from experiments.reports.services import reports
from experiments.team.pages.access import attempted, in_project, required, whole_number
from experiments.team.queries.access import Access


@require_POST
@in_project
def freeze_report(request: HttpRequest, access: Access, report: int) -> HttpResponse:
    """Keep a copy with figures and tables as they are now."""
    made = attempted(
        request,
        lambda: reports.freeze(access=access, report=report, hosts=(request.get_host(),)),
    )
    if made is None:
        return redirect("report", access.slug, report)
    messages.success(request, "Frozen: every figure and table stays as it was at this moment.")
    return redirect("frozen_report", access.slug, made)


@require_safe
@in_project
def frozen_page(request: HttpRequest, access: Access, frozen: int) -> HttpResponse:
    """A frozen copy; `embedded` in the address asks for one of its parts alone."""
    copy = found_copy(lambda: find_frozen(access, frozen))
    if isinstance(copy, HttpResponse):
        return copy
    if "embedded" in request.GET:
        return frozen_part(request, copy)
    context = {
        "project": access,
        "section": "reports",
        "copy": copy,
        "parts": frozen_places(copy, request.path),
        "links": working_links(access, frozen=frozen),
    }
    return render(request, "reports/frozen.html", context)


def found_copy(find: Callable[[], Frozen | None]) -> Frozen | HttpResponse:
    """A copy, or the answer about one that is not what was frozen."""
    try:
        return required(find())
    except Conflict as error:
        return HttpResponse(f"{error.message}\n", status=409, content_type="text/plain")


def frozen_places(copy: Frozen, path: str) -> list[Prose | Place | Embedded]:
    """Prose, and where the frozen charts and tables go."""
    return [
        part
        if isinstance(part, Prose) or part.problem
        else Place(part.title, "", f"{path}?embedded={place}")
        for place, part in enumerate(copy.content.parts)
    ]


def frozen_part(request: HttpRequest, copy: Frozen) -> HttpResponse:
    """One chart or table of a copy, for the script that puts it into the page."""
    place = whole_number(request.GET.get("embedded"), 0)
    parts = copy.content.parts
    part = required(parts[place] if place < len(parts) else None)
    return render(request, "reports/_embedded.html", {"part": part, "key": str(place)})


@require_safe
@in_project
def frozen_file(request: HttpRequest, access: Access, frozen: int) -> HttpResponse:
    """A frozen copy as one HTML file, to download."""
    copy = found_copy(lambda: find_frozen(access, frozen))
    if isinstance(copy, HttpResponse):
        return copy
    answer = HttpResponse(one_file(copy), content_type="text/html; charset=utf-8")
    name = slugify(copy.content.title)[:80] or f"report-{copy.report}"
    day = f"{copy.content.frozen_at:%Y-%m-%d}"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}-{day}.html"'
    return answer
