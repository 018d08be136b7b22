"""A person's API tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.utils import timezone

from experiments.models import ApiToken, Membership, Project
from experiments.team.queries.access import Access, listed_projects, visible_projects
from experiments.web.pagination import EVERY_ROW, Page, PageOf, paged


@dataclass(frozen=True, slots=True)
class TokenRow:
    id: int
    owner: str
    name: str
    prefix: str
    project: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    @property
    def state(self) -> str:
        """works, revoked or expired."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return "expired"
        return "works"


def tokens_of(user: User, wanted: PageOf = EVERY_ROW) -> Page[TokenRow]:
    """The tokens that this person made, newest first."""
    return _rows(ApiToken.objects.filter(owner_id=user.pk), wanted)


def tokens_for(access: Access, wanted: PageOf = EVERY_ROW) -> Page[TokenRow]:
    """Everybody's tokens that still open this project, newest first: those made for it, and
    those of its members that open all of their projects. For admins."""
    owners = Membership.objects.filter(project_id=access.project_id).values("user_id")
    living = ApiToken.objects.filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()),
        Q(project_id=access.project_id) | Q(project__isnull=True, owner_id__in=owners),
        revoked_at__isnull=True,
        owner__is_active=True,
    )
    return _rows(living, wanted)


def _rows(tokens: QuerySet[ApiToken], wanted: PageOf) -> Page[TokenRow]:
    rows = tokens.select_related("project", "owner").order_by("-created_at", "-pk")
    return paged(rows, wanted, _row)


def _row(row: ApiToken) -> TokenRow:
    return TokenRow(
        id=row.pk,
        owner=row.owner.get_username(),
        name=row.name,
        prefix=row.prefix,
        project=row.project.slug if row.project else "",
        scopes=tuple(row.scopes.split()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


def project_for_token(user: User, slug: str) -> Project | None:
    """A project by its slug, None when this person may not see it."""
    return visible_projects(user).filter(slug=slug).first()


def project_slugs(user: User) -> tuple[str, ...]:
    return tuple(listed_projects(user).order_by("slug").values_list("slug", flat=True))
