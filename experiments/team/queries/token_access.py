"""The token behind a request, and the project that it opens."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from experiments.models import ApiToken as ApiToken
from experiments.models import Project as Project
from experiments.models.trial_rows import moment
from experiments.team.queries import access

# Every request of a program asks this; the ORM would take ten times as long to say it.
_FIND = """
SELECT k.id, k.owner_id, k.project_id, k.scopes, k.last_used_at,
    u.username, u.is_superuser, p.slug
FROM experiments_apitoken k
JOIN auth_user u ON u.id = k.owner_id
LEFT JOIN experiments_project p ON p.id = k.project_id
WHERE k.digest = %s AND u.is_active AND k.revoked_at IS NULL
    AND (k.expires_at IS NULL OR k.expires_at > %s)
"""


def find(digest: str) -> ApiToken | None:
    """The living token behind a digest: not revoked, not expired, its owner still active.

    Only with what a request needs of it, as every request asks this.
    """
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(_FIND, [digest, now])
        found = cursor.fetchone()
    if found is None:
        return None
    key, owner, project, scopes, used, username, is_superuser, slug = found
    token = ApiToken.from_db(
        connection.alias,
        ("id", "owner_id", "project_id", "scopes", "last_used_at"),
        (key, owner, project, scopes, moment(used)),
    )
    token.owner = User.from_db(
        connection.alias,
        ("id", "is_superuser", "username", "is_active"),  # in the order of the columns
        (owner, bool(is_superuser), username, True),
    )
    if project is not None:
        token.project = Project.from_db(connection.alias, ("id", "slug"), (project, slug))
    return token


def project_for(token: ApiToken, slug: str) -> Project | None:
    """The project a token opens: its own, or any that its owner may see; None for all others."""
    project = access.visible_projects(token.owner).filter(slug=slug).first()
    if project is None or token.project_id not in (None, project.pk):
        return None
    return project


def opens(token: ApiToken, slug: str) -> bool:
    """Test whether a token opens a project that its owner sees: its own, or any."""
    return token.project is None or token.project.slug == slug
