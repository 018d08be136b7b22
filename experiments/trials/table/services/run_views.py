"""Save, delete and choose named views of a project's runs table."""

from __future__ import annotations

from django.db import transaction
from django.http import QueryDict

from experiments.errors import NotFound, Problem, VerdictError
from experiments.models import RunsView
from experiments.models.project import Role
from experiments.team.queries.access import Access
from experiments.trials.table.panel_layout import read_layout

LONGEST_NAME, LONGEST_QUERY, MOST_VIEWS = 100, 20_000, 200
# Of an address what belongs to the moment, not to the view.
_MOMENTARY = ("page", "trials", "of", "only", "since", "view", "embedded")


def save(*, access: Access, name: str, query: str, for_project: bool) -> int:
    """Save a view, in place of one of the same name and owner; returns its id.

    Raises:
        NotAllowed: for the project's views, to someone who is no editor.
        VerdictError: for a name or a query that cannot be kept.
    """
    access.require(Role.EDITOR if for_project else Role.VIEWER)
    name = " ".join(name.split())
    problems = []
    if not 1 <= len(name) <= LONGEST_NAME:
        problems.append(Problem("name", f"expected 1 to {LONGEST_NAME} characters"))
    layout = QueryDict(query.removeprefix("?")).getlist("panel")
    problems += [Problem("panel", words) for words in read_layout(layout).problems]
    if len(query) > LONGEST_QUERY:
        problems.append(Problem("query", "the view holds too much: show fewer columns"))
    owner = None if for_project else access.user
    with transaction.atomic():
        rows = RunsView.objects.filter(project_id=access.project_id, owner=owner)
        if rows.count() >= MOST_VIEWS and not rows.filter(name=name).exists():
            problems.append(Problem("name", f"there are {MOST_VIEWS} views: delete one first"))
        if problems:
            raise VerdictError("The view cannot be saved.", problems)
        view, _ = RunsView.objects.update_or_create(
            project_id=access.project_id, owner=owner, name=name, defaults={"query": _kept(query)}
        )
    return view.pk


def _kept(query: str) -> str:
    found = QueryDict(query.removeprefix("?"), mutable=True)
    for name in _MOMENTARY:
        found.pop(name, None)
    return found.urlencode()


def delete(*, access: Access, view_id: int) -> str:
    """Delete one's own view, or as an editor one of the project; returns its name.

    Raises:
        NotFound: for a view that the person cannot see.
        NotAllowed: for the project's, to someone who is no editor.
    """
    view = _view(access, view_id)
    view.delete()
    return view.name


def choose_default(*, access: Access, view_id: int) -> bool:
    """Make a view of the project the one with which its runs open, or no longer.

    Raises:
        NotFound: for a view that the person cannot see, or that is one person's own.
        NotAllowed: to someone who is no editor.
    """
    view = _view(access, view_id)
    if view.owner_id is not None:
        raise NotFound("Only a view of the project can be its default.")
    with transaction.atomic():
        rows = RunsView.objects.filter(project_id=access.project_id)
        rows.select_for_update().filter(is_default=True).update(is_default=False)
        if not view.is_default:
            rows.filter(pk=view.pk).update(is_default=True)
    return not view.is_default


def _view(access: Access, view_id: int) -> RunsView:
    """A view that the person may change."""
    view = RunsView.objects.filter(pk=view_id, project_id=access.project_id).first()
    if view is None or view.owner_id not in (None, access.user.pk):
        raise NotFound(f"{access.slug} has no such view.")
    access.require(Role.EDITOR if view.owner_id is None else Role.VIEWER)
    return view
