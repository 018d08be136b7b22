"""Every request has an id: in the answer's header and in each log line written for it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from experiments.web.log_context import begin

HEADER = "X-Request-ID"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")

Answer = HttpResponse | Awaitable[HttpResponse]


class RequestIds:
    """Middleware, synchronous or asynchronous as what it wraps.

    An id that a proxy has given is kept, when it is plain enough for a log.
    """

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
        name = _id_of(request)
        begin(request=name)
        return _named(cast(HttpResponse, self.get_response(request)), name)

    async def _answer_later(self, request: HttpRequest) -> HttpResponse:
        name = _id_of(request)
        begin(request=name)
        return _named(await cast(Awaitable[HttpResponse], self.get_response(request)), name)


def accepted_or_new(given: str) -> str:
    """An id that a proxy has given when it is plain enough for a log, else a new one."""
    return given if _ACCEPTED.fullmatch(given) else uuid.uuid4().hex


def _id_of(request: HttpRequest) -> str:
    return accepted_or_new(request.headers.get(HEADER, ""))


def _named(response: HttpResponse, name: str) -> HttpResponse:
    response.headers[HEADER] = name
    return response
