"""Named views of a project's runs table."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import F, Q

from experiments.models import RunsView
from experiments.team.queries.access import Access


@dataclass(frozen=True, slots=True)
class ViewRow:
    """A view that a person may open; `is_own` of those that nobody else sees."""

    id: int
    name: str
    query: str
    is_own: bool
    is_default: bool


MOST_VIEWS = 60  # that a menu lists


def views_of(access: Access) -> tuple[ViewRow, ...]:
    """The project's views and the person's own: the default one, the person's, by name."""
    rows = RunsView.objects.filter(
        Q(owner__isnull=True) | Q(owner=access.user), project_id=access.project_id
    )
    first = (F("is_default").desc(), F("owner").asc(nulls_last=True), "name", "pk")
    return tuple(_row(row) for row in rows.order_by(*first)[:MOST_VIEWS])


def default_view(access: Access) -> ViewRow | None:
    """The view with which a project's runs open."""
    row = RunsView.objects.filter(project_id=access.project_id, is_default=True).first()
    return _row(row) if row else None


def _row(row: RunsView) -> ViewRow:
    return ViewRow(row.pk, row.name, row.query, row.owner_id is not None, row.is_default)
