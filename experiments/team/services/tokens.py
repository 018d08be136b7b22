"""Tokens for programs: made, shown once, revoked."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import secrets
from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from experiments.errors import NotFound, Problem, VerdictError
from experiments.models import ApiToken, Project
from experiments.models.project import Role
from experiments.team.queries.access import Access, get_project
from experiments.team.services.changes import note

SCOPES = ("read", "write", "decide")
_ROLES = {"read": Role.VIEWER, "write": Role.EDITOR, "decide": Role.APPROVER}
_PREFIX = "vd_"


def digest(secret: str) -> str:
    """Stored digest of a token. It is 256 random bits, so a plain SHA-256 cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def secret_in(authorization: str) -> str:
    """The token of an Authorization header, empty without one: a bearer token, or the password
    beside any user name, for programs that know nothing else.
    """
    kind, _, credentials = authorization.partition(" ")
    if kind.lower() == "bearer":
        return credentials.strip()
    if kind.lower() != "basic":
        return ""
    try:
        pair = base64.b64decode(credentials.strip(), validate=True).decode()
    except ValueError:
        return ""
    return pair.partition(":")[2]


def create(
    *,
    user: User,
    project: Project | None,
    name: str,
    scopes: Sequence[str] = ("read",),
    expires_at: dt.datetime | None = None,
) -> tuple[ApiToken, str]:
    """Make a token; the text is returned here and never again.

    Raises:
        VerdictError: for a missing name, an unknown scope or an expiry in the past.
    """
    problems = []
    if not name.strip() or len(name) > 100:
        problems.append(Problem("name", "expected 1 to 100 characters that tell what uses it"))
    if not scopes or any(scope not in SCOPES for scope in scopes):
        problems.append(Problem("scopes", f"expected one or more of {', '.join(SCOPES)}"))
    if expires_at is not None and expires_at <= timezone.now():
        problems.append(Problem("expires_at", "lies in the past"))
    if problems:
        raise VerdictError("The token has errors.", problems)
    if project is not None:
        access = get_project(user, project.slug)
        for scope in scopes:
            access.require(_ROLES[scope])
    secret = _PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        owner=user,
        project=project,
        name=name.strip(),
        scopes=" ".join(scopes),
        prefix=secret[:9],
        digest=digest(secret),
        expires_at=expires_at,
    )
    return token, secret


def revoke(*, user: User, token_id: int) -> ApiToken:
    """Make a token useless at once. A person revokes their own.

    Raises:
        NotFound: for somebody else's token.
    """
    token = ApiToken.objects.filter(pk=token_id, owner_id=user.pk).first()
    if token is None:
        raise NotFound("There is no such token.")
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
    return token


def revoke_in(*, access: Access, token_id: int) -> ApiToken:
    """Make somebody's token for this project useless at once, as an admin of it.

    Raises:
        NotFound: for a token that was not made for this project alone.
        NotAllowed: for someone who is no admin of the project.
    """
    access.require(Role.ADMIN)
    tokens = ApiToken.objects.select_related("owner").filter(project_id=access.project_id)
    token = tokens.filter(pk=token_id).first()
    if token is None:
        raise NotFound(f"{access.slug} has no token {token_id}.")
    if token.revoked_at is None:
        with transaction.atomic():
            token.revoked_at = timezone.now()
            token.save(update_fields=["revoked_at"])
            note(access, f"revoked the token {token.name} of {token.owner.get_username()}")
    return token


def touch(*, token: ApiToken) -> None:
    """Note that a token was used, at most once a minute."""
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > dt.timedelta(minutes=1):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
