"""The token behind a request, and the project that it opens."""

from __future__ import annotations

from django.db.models import Q
from django.utils import timezone

from experiments.models import ApiToken as ApiToken
from experiments.models import Project as Project
from experiments.team.queries import access

_OF_OWNER = ("owner__username", "owner__is_active", "owner__is_superuser")


def find(digest: str) -> ApiToken | None:
    """The living token behind a digest: not revoked, not expired, its owner still active.

    Only with what a request needs of it, as every request asks this.
    """
    return (
        ApiToken.objects.select_related("owner", "project")
        .only("scopes", "last_used_at", *_OF_OWNER, "project__slug")
        .filter(digest=digest, revoked_at__isnull=True, owner__is_active=True)
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()))
        .first()
    )


def project_for(token: ApiToken, slug: str) -> Project | None:
    """The project a token opens: its own, or any that its owner may see; None for all others."""
    project = access.visible_projects(token.owner).filter(slug=slug).first()
    if project is None or token.project_id not in (None, project.pk):
        return None
    return project


def opens(token: ApiToken, slug: str) -> bool:
    """Test whether a token opens a project that its owner sees: its own, or any."""
    return token.project is None or token.project.slug == slug
