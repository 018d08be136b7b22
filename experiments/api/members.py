"""Who is in a project, and what they may do."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router

from experiments.api import asking
from experiments.api.repetition_schemas import MembersOut
from experiments.queries.access import members

router = Router(tags=["members"])


@router.get("/{slug}/members", response={200: MembersOut, **asking.READ_ERRORS})
def list_members(request: HttpRequest, slug: str) -> Any:
    """Everyone in a project, the most powerful first."""
    return {"members": members(asking.reading(request, slug).project_id)}
