"""Changes of a project by its admins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from experiments.models import ProjectChange
from experiments.team.queries.access import Access
from experiments.web.pagination import FIRST_PAGE, Page, PageOf, page_bounds


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change: who made it, and what became of what."""

    text: str
    made_by: str
    made_at: datetime


def changes_of(access: Access, wanted: PageOf = FIRST_PAGE) -> Page[ChangeRow]:
    """A project's changes, the newest first."""
    rows = ProjectChange.objects.filter(project_id=access.project_id)
    total = rows.count()
    number, first, end = page_bounds(wanted, total)
    found = [ChangeRow(row.text, row.made_by_name, row.made_at) for row in rows[first:end]]
    return Page(found, number, total, wanted.size)
