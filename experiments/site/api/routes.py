"""The HTTP API for programs: tokens instead of sessions, the same queries as the pages."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from ninja import NinjaAPI
from ninja.security import HttpBearer

from experiments.team.queries import token_access
from experiments.team.queries.token_access import ApiToken
from experiments.team.services import tokens as token_services
from experiments.web import api_errors


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
    description="Everything that the pages do, champions and decisions for deployments, and runs "
    "from anywhere. Every error has one shape.",
    auth=TokenAuth(),
    docs_url=None,
    openapi_url=None,
    urls_namespace="api",
)
api_errors.install(api)


@csrf_exempt  # it writes nothing, and a program is to be answered in the one shape
@api_errors.in_one_shape
@require_safe
def openapi_document(request: HttpRequest) -> HttpResponse:
    """The description of the API, for who is logged in or sends a token."""
    if not request.user.is_authenticated and TokenAuth()(request) is None:
        return api_errors.error_response(
            401, "Log in, or send a token as Authorization: Bearer TOKEN."
        )
    prefix = reverse("openapi").removesuffix("openapi.json")
    return JsonResponse(api.get_openapi_schema(path_prefix=prefix))
