"""Read-only links to an experiment, a decision or a frozen report."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import QuerySet

from experiments.models import SharedLink
from experiments.models.project import Role
from experiments.team.queries.access import Access, access_as
from experiments.web.pagination import EVERY_ROW, Page, PageOf, paged

MOST_WORKING = 50  # links that the page of what they show lists

_SHOWN = ("experiment", "decision", "frozen_report__version", "created_by")
_LARGE = ("decision__evidence", "frozen_report__content", "frozen_report__version__text")


@dataclass(frozen=True, slots=True)
class SharedLinkRow:
    """A link of a project; `prefix` is the beginning of its secret. It shows `experiment`, the
    decision `sequence`, or the frozen report `frozen` with the title `report`.
    """

    id: int
    prefix: str
    experiment: str
    sequence: int | None
    created_by: str
    created_at: datetime
    revoked_at: datetime | None
    frozen: int | None = None
    report: str = ""


@dataclass(frozen=True, slots=True)
class Shared:
    """The one thing that a link shows, and the access of a viewer without a name."""

    access: Access
    experiment: str
    sequence: int | None
    frozen: int | None


def digest(secret: str) -> str:
    """Stored digest of a link's secret. It is 256 random bits: plain SHA-256 cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def links_of(access: Access, wanted: PageOf = EVERY_ROW) -> Page[SharedLinkRow]:
    """A project's links, the newest first, those that were revoked too. For admins."""
    return paged(_links(access), wanted, as_row)


def _links(access: Access) -> QuerySet[SharedLink]:
    rows = SharedLink.objects.filter(project_id=access.project_id).select_related(*_SHOWN)
    return rows.defer(*_LARGE).order_by("-pk")


def working_links(
    access: Access,
    *,
    experiment: str = "",
    sequence: int | None = None,
    frozen: int | None = None,
) -> tuple[SharedLinkRow, ...]:
    """Links that show one thing and still work; none for who is no admin."""
    if not access.can_administer:
        return ()
    rows = _links(access).filter(revoked_at__isnull=True)
    if experiment:
        rows = rows.filter(experiment__name=experiment)
    if sequence is not None:
        rows = rows.filter(decision__sequence=sequence)
    if frozen is not None:
        rows = rows.filter(frozen_report=frozen)
    return tuple(as_row(link) for link in rows[:MOST_WORKING])


def as_row(link: SharedLink) -> SharedLinkRow:
    """The record of a link."""
    return SharedLinkRow(
        id=link.pk,
        prefix=link.prefix,
        experiment=link.experiment.name if link.experiment else "",
        sequence=link.decision.sequence if link.decision else None,
        created_by=link.created_by.get_username(),
        created_at=link.created_at,
        revoked_at=link.revoked_at,
        frozen=link.frozen_report_id,
        report=link.frozen_report.version.title if link.frozen_report else "",
    )


def find_shared(secret: str) -> Shared | None:
    """The thing that a link shows; None for one that there is not or that was revoked."""
    rows = SharedLink.objects.filter(digest=digest(secret), revoked_at__isnull=True)
    link = rows.select_related("project", "experiment", "decision").first()
    if link is None:
        return None
    return Shared(
        access=access_as(User(), link.project, Role.VIEWER),
        experiment=link.experiment.name if link.experiment else "",
        sequence=link.decision.sequence if link.decision else None,
        frozen=link.frozen_report_id,
    )
