"""Middleware of every request; the chain is synchronous (config/threads.py)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin

from experiments.web.api_errors import error_for, is_of_program
from experiments.web.log_context import begin

REQUEST_ID = "X-Request-ID"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Charts draw into SVG; saving one as a picture goes through data: and blob: addresses.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
PERMISSIONS = "camera=(), geolocation=(), microphone=()"
_NULL_OF_DRIVER = "NUL (0x00)"

View = Callable[[HttpRequest], HttpResponse]


def accepted_or_new(given: str) -> str:
    """An id that a proxy has given when it is plain enough for a log, else a new one."""
    return given if _ACCEPTED.fullmatch(given) else uuid.uuid4().hex


def request_ids(get_response: View) -> View:
    """An id for every request: in the answer's header and in each log line written for it.

    One that a proxy has given is kept, when it is plain enough for a log.
    """

    def answer(request: HttpRequest) -> HttpResponse:
        name = accepted_or_new(request.headers.get(REQUEST_ID, ""))
        begin(request=name)
        response = get_response(request)
        response.headers[REQUEST_ID] = name
        return response

    return answer


def security_headers(get_response: View) -> View:
    """The content security policy: nothing runs and nothing is styled but this server's files."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        return response

    return answer


class RefuseNullCharacters(MiddlewareMixin):
    """A request that brings a null character into a query is answered with 400: PostgreSQL
    knows none, and SQLite answers alike.

    Wherever it stood, in the path, the query or a body, the driver is where it is noticed.
    """

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            return _refused(request)
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, ValueError) and _NULL_OF_DRIVER in str(error):
            return _refused(request)
        return None


def _refused(request: HttpRequest) -> HttpResponse:
    if is_of_program(request.path_info):
        return error_for(
            request.path_info, 400, "The request holds a null character; leave it out."
        )
    return render(request, "400.html", status=400)
