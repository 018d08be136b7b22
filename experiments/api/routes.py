"""The HTTP API for programs: tokens instead of sessions, the same queries as the pages."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import NinjaAPI
from ninja.security import HttpBearer

from experiments.api import errors
from experiments.queries import token_access
from experiments.queries.token_access import ApiToken
from experiments.services import tokens as token_services


class TokenAuth(HttpBearer):
    """`Authorization: Bearer TOKEN`, a token made on the account page."""

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        found = token_access.find(token_services.digest(token))
        if found is not None:
            token_services.touch(token=found)
        return found


api = NinjaAPI(
    title="Verdict",
    version="1",
    description="Champions and decisions for deployments, runs from anywhere.",
    auth=TokenAuth(),
    docs_url=None,
    urls_namespace="api",
)
errors.install(api)
