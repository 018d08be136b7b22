"""The content security policy: nothing runs and nothing is styled but files of this server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

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

Answer = HttpResponse | Awaitable[HttpResponse]


class SecurityHeaders:
    """Middleware, synchronous or asynchronous as what it wraps."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Answer]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Answer:
        if self.is_async:
            return self._answer_later(request)
        return _with_headers(cast(HttpResponse, self.get_response(request)))

    async def _answer_later(self, request: HttpRequest) -> HttpResponse:
        return _with_headers(await cast(Awaitable[HttpResponse], self.get_response(request)))


def _with_headers(response: HttpResponse) -> HttpResponse:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers.setdefault("Permissions-Policy", PERMISSIONS)
    return response
