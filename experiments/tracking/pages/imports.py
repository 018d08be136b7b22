"""Imports in the browser: a CSV file, a journal or a database of Optuna's goes up, and its runs
come in while the page counts them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from experiments.errors import NotAllowed, VerdictError
from experiments.team.pages.access import in_project
from experiments.team.queries.access import Access
from experiments.tracking.imports.foreign_runs import ForeignRuns, ReadOptions
from experiments.tracking.imports.formats import FORMATS, read
from experiments.tracking.imports.optuna_files import is_storage, read_studies
from experiments.tracking.services.imports import ImportOptions, ImportReport, import_steps
from experiments.trials.lifecycle.services import copied_studies
from experiments.trials.lifecycle.services.copied_studies import Copied, Original
from experiments.web import uploads
from experiments.web.uploads import Place

MEGABYTES = 32
MOST_RUNS, MOST_CELLS = 10_000, 5_000_000
LONGEST_NAME = 200
_LIMIT = f"A file of up to {MEGABYTES} MB can be uploaded; import a larger one by the command."


@require_safe
@in_project
def import_page(request: HttpRequest, access: Access) -> HttpResponse:
    """The form for a file, and the command for every other format."""
    _require_editor(access)
    context = {
        "project": access,
        "section": "experiments",
        "formats": {name: known_format.summary for name, known_format in FORMATS.items()},
        "megabytes": MEGABYTES,
    }
    return render(request, "projects/import.html", context)


@require_http_methods(["PUT"])
@in_project
def import_file(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Import the file that is the body; the answer is a line of JSON after each part of it."""
    _require_editor(access)
    place = Place(
        access.project_id,
        most=MEGABYTES * 2**20,
        left=4 * MEGABYTES * 2**20,
        message=_LIMIT,
    )
    try:
        draft = uploads.body_of(request, place)
        if draft is None:
            return uploads.go_on()
        try:
            lines = _opened(request, access, draft.path)
        finally:
            draft.close()
    except VerdictError as error:
        return JsonResponse(_refusal(error), status=error.status)
    answer = StreamingHttpResponse(lines, content_type="application/x-ndjson")
    answer["Cache-Control"] = "no-store"
    answer["X-Accel-Buffering"] = "no"  # nginx would hold the lines back
    return answer


def _opened(request: HttpRequest, access: Access, path: Path) -> Iterator[bytes]:
    """The import of a file that was read, of the format that it has."""
    options = _read_options(request)
    if is_storage(path):
        return _lines_of_studies(access, read_studies(path, options.name))
    source = read("csv", str(path), options)
    chosen = ImportOptions("csv", experiment=_asked(request, "experiment"))
    return _lines(access, source, chosen)


def _require_editor(access: Access) -> None:
    if not access.can_edit:
        raise NotAllowed(
            f"Only an editor of {access.slug} may import; your role is {access.role}."
        )


def _read_options(request: HttpRequest) -> ReadOptions:
    columns = {
        kind: tuple(name.strip() for name in _asked(request, kind).split(",") if name.strip())
        for kind in ("parameters", "metrics")
    }
    name = _asked(request, "name").replace("\\", "/").rpartition("/")[2]
    return ReadOptions(
        **columns, name=name or "runs.csv", most_runs=MOST_RUNS, most_cells=MOST_CELLS
    )


def _asked(request: HttpRequest, name: str) -> str:
    return request.GET.get(name, "").strip()[:LONGEST_NAME]


def _lines(access: Access, source: ForeignRuns, options: ImportOptions) -> Iterator[bytes]:
    """Progress after each part, and the report or what went wrong at the end."""
    report = ImportReport()
    yield _line({"done": 0, "total": source.total, "remarks": list(source.remarks)})
    try:
        for done in import_steps(access=access, source=source, options=options, report=report):
            yield _line({"done": done, "total": source.total})
    except VerdictError as error:
        yield _line(_refusal(error))
        return
    pages = [
        {"name": name, "url": reverse("experiment", args=[access.slug, name])}
        for name in report.experiments
    ]
    yield _line({"report": {**asdict(report), "experiments": pages}})


def _lines_of_studies(access: Access, originals: Sequence[Original]) -> Iterator[bytes]:
    """The same of studies, trials in place of runs."""
    total, done = sum(len(original.trials) for original in originals), 0
    copies: list[Copied] = []
    yield _line({"done": 0, "total": total, "remarks": []})
    try:
        for original in originals:
            steps = copied_studies.copy_steps(original, project=access.slug)
            while True:
                try:
                    yield _line({"done": done + next(steps), "total": total})
                except StopIteration as end:
                    copies.append(end.value)
                    break
            done += len(original.trials)
    except VerdictError as error:
        yield _line(_refusal(error))
        return
    yield _line({"report": {
        "added": sum(copied.added for copied in copies),
        "updated": sum(copied.updated for copied in copies),
        "unchanged": sum(copied.unchanged for copied in copies),
        "experiments": [
            {"name": copied.study, "url": reverse("study", args=[access.slug, copied.id])}
            for copied in copies
        ],
        "left_out": [],
    }})  # fmt: skip


def _refusal(error: VerdictError) -> dict[str, Any]:
    return {"error": error.message, "problems": [str(problem) for problem in error.problems]}


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"
