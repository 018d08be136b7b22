"""Actions on runs of a table: views, tags and notes, cancelling, retrying, archiving, files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from experiments.errors import Conflict, NotAllowed, NotFound, VerdictError
from experiments.team.pages.access import attempted, done, explain, in_project, required
from experiments.team.queries.access import Access
from experiments.trials.artifacts.queries.artifacts import image_ids
from experiments.trials.panels.run_table import chosen_columns, single_row
from experiments.trials.table.queries.run_exports import exported_runs, names_of, seeds_of
from experiments.trials.table.queries.run_facts import annotation_of
from experiments.trials.table.queries.run_scope import fields_in, matching, scope_of
from experiments.trials.table.run_files import CONTENT_TYPES, Kind, write
from experiments.trials.table.runs_state import read_state
from experiments.trials.table.services import annotations as run_annotations
from experiments.trials.table.services import bulk, run_views
from experiments.web.streaming import download

MOST_IDS = 200_000


@require_POST
@in_project
def save_view(request: HttpRequest, access: Access) -> HttpResponse:
    """Save the state of the table under a name."""
    view = attempted(
        request,
        lambda: run_views.save(
            access=access,
            name=request.POST.get("name", ""),
            query=request.POST.get("query", ""),
            for_project=request.POST.get("for") == "project",
        ),
    )
    query = request.POST.get("query", "").removeprefix("?")
    if view is not None:
        messages.success(request, "View saved.")
        query = "&".join(filter(None, [query, f"view={view}"]))
    return redirect(f"{reverse('runs', args=[access.slug])}?{query or 'sort=score'}")


@require_POST
@in_project
def delete_view(request: HttpRequest, access: Access, view: int) -> HttpResponse:
    """Delete a view."""
    done(request, lambda: run_views.delete(access=access, view_id=view), "View deleted.")
    return redirect(f"{reverse('runs', args=[access.slug])}?sort=score")


@require_POST
@in_project
def choose_default_view(request: HttpRequest, access: Access, view: int) -> HttpResponse:
    """Make a view the project's default, or no longer."""
    chosen = attempted(request, lambda: run_views.choose_default(access=access, view_id=view))
    if chosen is not None:
        messages.success(
            request, "Runs open with this view." if chosen else "Runs open without a view."
        )
    return redirect("runs", access.slug)


@require_safe
@in_project
def run_ids(request: HttpRequest, access: Access) -> HttpResponse:
    """Ids of all runs that an address lets through, for the script that ticks them."""
    scope = scope_of(access, request.GET.getlist("experiments"))
    try:
        rows = matching(scope, read_state(request.GET)).order_by("-pk")
    except VerdictError as error:
        return HttpResponse(error.message, status=400, content_type="text/plain; charset=utf-8")
    keys = rows.values_list("pk", flat=True)[:MOST_IDS]
    return HttpResponse(",".join(map(str, keys)), content_type="text/plain; charset=utf-8")


@require_POST
@in_project
def bulk_action(request: HttpRequest, access: Access) -> HttpResponse:
    """Do one thing to every ticked run."""
    ids = _ids(request)
    action = request.POST.get("action", "")
    back = _back(request, access)
    _require_editor(access)
    if not ids:
        messages.error(request, "No run is ticked.")
    elif action == "seeds":
        found = attempted(request, lambda: seeds_of(access, ids))
        if found is not None:
            address = reverse("seeds", args=[access.slug, found[0]])
            return redirect(f"{address}?trials={','.join(map(str, found[1]))}#declare")
    elif action in _ACTIONS:
        words = attempted(request, lambda: _ACTIONS[action](request, access, ids))
        if words is not None:
            messages.success(request, words)
    else:
        messages.error(request, "Choose what to do with the ticked runs.")
    return redirect(back)


@require_http_methods(["GET", "HEAD", "POST"])
@in_project
def edit_run(request: HttpRequest, access: Access, row: int, field: str) -> HttpResponse:
    """Form of a run's name, note or tags, to stand in its row. A POST answers the row as it is
    then; the form again, saying why, when it is refused; or, with `back`, the page it came from.
    """
    _require_editor(access)
    text = annotation_of(access, row, field)
    typed, back = request.POST.get("text", ""), request.POST.get("back", "")
    form: dict[str, object] = {
        "project": access,
        "row_id": row,
        "field": field,
        "before": text,
        "text": text,
    }
    if field == "note":
        form["images"] = image_ids(row)
    if request.method != "POST":
        return render(request, "runs/_edit.html", form)
    try:
        before = request.POST.get("before", "")
        run_annotations.edit(access=access, run_id=row, field=field, text=typed, before=before)
    except (NotFound, NotAllowed):
        raise
    except VerdictError as error:
        if back:
            explain(request, error)
            return redirect(_back(request, access))
        wrong = "; ".join(str(problem) for problem in error.problems) or error.message
        context = {**form, "text": typed, "wrong": wrong}
        return render(request, "runs/_edit.html", context, status=error.status)
    if back:
        messages.success(request, "Saved.")
        return redirect(_back(request, access))
    scope = scope_of(access, list(filter(None, request.GET.getlist("experiments"))))
    embedded = request.GET.get("embedded") == "1"
    found = required(single_row(scope, request.GET, row))
    context = {"project": access, "row": found, "embedded": embedded}
    return render(request, "runs/_row.html", context)


def _require_editor(access: Access) -> None:
    if not access.can_edit:
        raise NotAllowed(f"Only an editor of {access.slug} changes runs.")


def _ids(request: HttpRequest) -> list[int]:
    texts = request.POST.get("runs", "").split(",") + request.POST.getlist("run")
    found = [int(text) for text in texts if text.isdecimal() and len(text) < 16]
    return list(dict.fromkeys(found))[:MOST_IDS]


def _back(request: HttpRequest, access: Access) -> str:
    address = request.POST.get("back", "")
    if address.startswith("/") and url_has_allowed_host_and_scheme(address, allowed_hosts=None):
        return address
    return reverse("runs", args=[access.slug])


def _counted(count: int, done: str) -> str:
    return f"{done} {count:,} {'run' if count == 1 else 'runs'}."


def _tag(request: HttpRequest, access: Access, ids: Sequence[int]) -> str:
    name, value = request.POST.get("tag", ""), request.POST.get("value", "")
    return _counted(
        run_annotations.tag(access=access, run_ids=ids, name=name, value=value), "Tagged"
    )


def _untag(request: HttpRequest, access: Access, ids: Sequence[int]) -> str:
    name = request.POST.get("tag", "")
    return _counted(
        run_annotations.untag(access=access, run_ids=ids, name=name), "Removed the tag from"
    )


def _note(request: HttpRequest, access: Access, ids: Sequence[int]) -> str:
    text = request.POST.get("note", "")
    return _counted(run_annotations.note(access=access, run_ids=ids, text=text), "Noted")


def _name(request: HttpRequest, access: Access, ids: Sequence[int]) -> str:
    if len(ids) != 1:
        raise Conflict("A name is for one run: tick one.")
    name = request.POST.get("name", "")
    return _counted(run_annotations.rename(access=access, run_id=ids[0], name=name), "Named")


def _archive(request: HttpRequest, access: Access, ids: Sequence[int]) -> str:
    return _counted(run_annotations.archive(access=access, run_ids=ids), "Archived")


def _restore(request: HttpRequest, access: Access, ids: Sequence[int]) -> str:
    return _counted(run_annotations.restore(access=access, run_ids=ids), "Restored")


def _cancel(request: HttpRequest, access: Access, ids: Sequence[int]) -> str:
    return bulk.cancel(access=access, run_ids=ids).words("Cancelled")


def _retry(request: HttpRequest, access: Access, ids: Sequence[int]) -> str:
    return bulk.retry(access=access, run_ids=ids).words("Queued again")


_ACTIONS: dict[str, Callable[[HttpRequest, Access, Sequence[int]], str]] = {
    "tag": _tag,
    "untag": _untag,
    "note": _note,
    "name": _name,
    "archive": _archive,
    "restore": _restore,
    "cancel": _cancel,
    "retry": _retry,
}


@require_POST
@in_project
def export_runs(request: HttpRequest, access: Access) -> HttpResponseBase:
    """The ticked runs, or all that the filter lets through, with the columns shown."""
    kind = request.POST.get("kind", "csv")
    if kind not in CONTENT_TYPES:
        raise NotFound("Runs come as csv, parquet or json.")
    wanted: Kind = "csv" if kind == "csv" else "parquet" if kind == "parquet" else "json"
    query = QueryDict(request.POST.get("query", ""))
    scope, state = scope_of(access, query.getlist("experiments")), read_state(query)
    columns = chosen_columns(scope, state, fields_in(scope))
    pieces = attempted(request, lambda: exported_runs(scope, state, columns, _ids(request)))
    if pieces is None:
        return redirect("runs", access.slug)
    return download(
        write(pieces, names_of(columns), wanted),
        content_type=CONTENT_TYPES[wanted],
        filename=f"{access.slug} runs.{kind}",
    )
