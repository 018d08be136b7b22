"""Open invitations of a project, and the one behind a link."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from experiments.models import Invitation
from experiments.team.queries.access import Access
from experiments.web.pagination import EVERY_ROW, Page, PageOf, paged


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    id: int
    role: str
    email: str
    invited_by: str
    created_at: datetime
    expires_at: datetime


def open_invitations(access: Access, wanted: PageOf = EVERY_ROW) -> Page[OpenInvitation]:
    """Those whose link still works, newest first."""
    rows = Invitation.objects.select_related("invited_by").filter(
        project_id=access.project_id, ended_at__isnull=True, expires_at__gt=timezone.now()
    )
    return paged(rows.order_by("-pk"), wanted, _row)


def _row(row: Invitation) -> OpenInvitation:
    return OpenInvitation(
        id=row.pk,
        role=row.role,
        email=row.email,
        invited_by=row.invited_by.get_username(),
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
