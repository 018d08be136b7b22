"""Authentication of API requests: token, scope, project."""

from __future__ import annotations

from django.contrib.auth.models import User

from experiments.errors import NotAllowed, NotFound
from experiments.team.queries import access, token_access
from experiments.team.queries.access import Access
from experiments.team.queries.token_access import ApiToken
from experiments.web.api_schemas import ErrorOut
from experiments.web.requests import TokenRequest

READ_ERRORS = dict.fromkeys((400, 401, 404, 422), ErrorOut)
WRITE_ERRORS = dict.fromkeys((400, 401, 403, 404, 409, 413, 415, 422), ErrorOut)


def token_of(request: TokenRequest, scope: str = "") -> ApiToken:
    """The token behind a request.

    Raises:
        NotAllowed: when it was made without the scope that this needs.
    """
    token = request.auth
    if scope and scope not in token.scopes.split():
        raise NotAllowed(f"This token lacks the scope {scope}; make one that has it.")
    return token


def reading(request: TokenRequest, slug: str, scope: str = "") -> Access:
    """A project as the owner of the token meets it.

    Raises:
        NotFound: for a project that the token does not open, or its owner may not know.
        NotAllowed: without the scope.
    """
    token = token_of(request, scope)
    if token_access.project_for(token, slug) is not None:
        found = access.find_project(token.owner, slug)
        if found is not None:
            return found
    raise NotFound(f"There is no project {slug}.")


def writing(request: TokenRequest, slug: str) -> Access:
    """The same for a request that changes something: the token needs the scope write."""
    return reading(request, slug, "write")


def deciding(request: TokenRequest, slug: str) -> Access:
    """The same for what makes champions: the token needs the scope decide."""
    return reading(request, slug, "decide")


def administering(request: TokenRequest, slug: str, scope: str = "write") -> Access:
    """The same for what admins alone see or do."""
    access = reading(request, slug, scope)
    if not access.can_administer:
        raise NotAllowed(f"Only an admin of {slug} may do this; your role is {access.role}.")
    return access


def person(request: TokenRequest) -> User:
    """In whose name the token acts."""
    return token_of(request).owner
