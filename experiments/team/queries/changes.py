"""Changes of a project by its admins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from experiments.models import ProjectChange
from experiments.team.queries.access import Access
from experiments.web.pagination import FIRST_PAGE, Page, PageOf, paged


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change: who made it, and what became of what."""

    text: str
    made_by: str
    made_at: datetime


def changes_of(access: Access, wanted: PageOf = FIRST_PAGE) -> Page[ChangeRow]:
    """A project's changes, the newest first."""
    rows = ProjectChange.objects.filter(project_id=access.project_id)
    return paged(rows, wanted, lambda row: ChangeRow(row.text, row.made_by_name, row.made_at))
