"""Named views of a project's runs table."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

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


def views_of(access: Access) -> tuple[ViewRow, ...]:
    """The project's views and the person's own, by name."""
    rows = RunsView.objects.filter(
        Q(owner__isnull=True) | Q(owner=access.user), project_id=access.project_id
    )
    return tuple(_row(row) for row in rows.order_by("name", "pk"))


def default_view(access: Access) -> ViewRow | None:
    """The view with which a project's runs open."""
    row = RunsView.objects.filter(project_id=access.project_id, is_default=True).first()
    return _row(row) if row else None


def _row(row: RunsView) -> ViewRow:
    return ViewRow(row.pk, row.name, row.query, row.owner_id is not None, row.is_default)
