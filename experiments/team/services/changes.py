"""The record of who changed what in a project."""

from __future__ import annotations

from experiments.models import ProjectChange
from experiments.team.queries.access import Access

LONGEST = 1000


def note(access: Access, text: str) -> None:
    """Note a change that this person made, within the transaction that makes it."""
    ProjectChange.objects.create(
        project_id=access.project_id,
        made_by=access.user,
        made_by_name=access.username,
        text=text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…",
    )
