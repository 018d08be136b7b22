"""Text that no database column holds: PostgreSQL knows no null character."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin

from experiments.web.api_errors import error_for, is_of_program

_SAID_BY_DRIVER = "NUL (0x00)"


class RefuseNullCharacters(MiddlewareMixin):
    """A request that brings one into a query is answered with 400, on SQLite as well.

    Wherever it stood, in the path, the query or a body, the driver is where it is noticed.
    """

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            return _refused(request)
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, ValueError) and _SAID_BY_DRIVER in str(error):
            return _refused(request)
        return None


def _refused(request: HttpRequest) -> HttpResponse:
    if is_of_program(request.path_info):
        return error_for(
            request.path_info, 400, "The request holds a null character; leave it out."
        )
    return render(request, "400.html", status=400)
