"""Answers to requests that no view handled: a page for people, one JSON shape for programs.

Named in ``config.urls``, so that Django calls them for what middleware refuses, too.
"""

from __future__ import annotations

import sys

from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseForbidden,
)
from django.template import loader
from django.views import defaults

from experiments.web import log_context
from experiments.web.api_errors import error_for, is_of_program

RETRY_SECONDS = 5


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    unknown_name = isinstance(exception, DisallowedHost)
    if not _from_program(request):
        page = loader.get_template("400.html").render({"unknown_name": unknown_name})
        return HttpResponseBadRequest(page)
    if isinstance(exception, RequestDataTooBig):
        return error_for(request.path_info, 413, "The body is too large; split it.")
    if unknown_name:
        return error_for(
            request.path_info,
            400,
            "This server does not go by the name in the Host header; ALLOWED_HOSTS or PUBLIC_URL "
            "on the server names those that it has.",
        )
    return error_for(request.path_info, 400, "The request cannot be read.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _from_program(request):
        return defaults.permission_denied(request, exception)
    return error_for(request.path_info, 403, str(exception) or "This may not be done.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A request without its form's token; below /api/ only what is no address of it gets here."""
    if not _from_program(request):
        context = {"setting": _missing_setting(request, reason)}
        page = loader.get_template("403_csrf.html").render(context, request)
        return HttpResponseForbidden(page)
    return error_for(
        request.path_info, 403, "This address takes no such request; see /api/v1/openapi.json."
    )


def _missing_setting(request: HttpRequest, reason: str) -> str:
    """Setting that the operator lacks when the browser calls this server otherwise than a proxy
    passes on; "" for any other reason."""
    if not reason.startswith("Origin checking failed"):
        return ""
    theirs, ours = request.headers.get("Origin", ""), f"{request.scheme}://{request.get_host()}"
    if theirs == f"https://{request.get_host()}" and not request.is_secure():
        return (
            "Your browser speaks TLS, but the server was reached without: a proxy ends it. On the "
            "server, set BEHIND_TLS=1, and let the proxy send X-Forwarded-Proto."
        )
    return (
        f"The form comes from {theirs[:200]}, the server was reached as {ours}. Where a proxy "
        "stands between, let it pass the Host header on, or set PUBLIC_URL on the server to the "
        "address in the browser (further ones: CSRF_TRUSTED_ORIGINS)."
    )


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _from_program(request):
        return defaults.page_not_found(request, exception)
    return error_for(request.path_info, 404, "There is nothing at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Says nothing of what broke; whoever keeps the server finds it by the request's id."""
    if not _from_program(request):
        return defaults.server_error(request)
    name = log_context.value_of("request")
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        away = error_for(
            request.path_info,
            503,
            f"The database does not answer at the moment; try again in {RETRY_SECONDS} seconds "
            f"(request {name}).",
        )
        away["Retry-After"] = str(RETRY_SECONDS)
        return away
    return error_for(
        request.path_info,
        500,
        f"Something broke here, which is not your doing; the log has it as request {name}.",
    )


def _from_program(request: HttpRequest) -> bool:
    return is_of_program(request.path_info)
