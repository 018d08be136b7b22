"""Django in the web server: a pool of threads for each kind of request.

Nothing here waits in asynchronous code (`experiments.web.long_poll` does, in front of Django), so
middleware and view of a request run in one go in one thread, which keeps its database connection
for the next request. Each kind has its own pool and its own limit on waiting for a thread: slow
downloads or polls by the hundred leave the pages and the probes alone.
"""

from __future__ import annotations

import asyncio
import contextvars
import re
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self, TypeVar, cast
from weakref import WeakValueDictionary

from django.conf import settings
from django.core import signals
from django.core.handlers.asgi import ASGIHandler
from django.db import close_old_connections, reset_queries
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import set_script_prefix

from experiments.web.api_errors import error_for, is_of_program
from experiments.web.uploads import ADDRESSES

ALIVE = "/healthz"  # answered by the event loop itself: it needs no thread
DOWNLOADS_AT_ONCE = 8  # of one address; each holds a part in memory while its client reads
RETRY_SECONDS = 5
_PROBES = re.compile(r"/(readyz|metrics)")
_POLLS = re.compile(r".*/live/|/under-way/|/api/v1/projects/[^/]+/(champion|decisions)")
Result = TypeVar("Result")


class Busy(Exception):
    """No thread was free for as long as a request waits for one."""


class Pool:
    """Threads that work is handed to in order.

    Args:
        threads: how much is done at once.
        seconds: how long work may wait for a thread.
    """

    def __init__(self, name: str, threads: int, seconds: float) -> None:
        self.threads = threads
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Result of `work`; context variables that it sets are set here, too.

        Raises:
            Busy: when it did not begin in time.
        """
        context = contextvars.copy_context()
        begun = self._pool.submit(context.run, _with_connection, work, *arguments)
        ended = asyncio.wrap_future(begun)
        try:
            done, _ = await asyncio.wait((ended,), timeout=self._seconds)
        except asyncio.CancelledError:
            ended.cancel()
            raise
        if not done and begun.cancel():
            raise Busy
        result = await ended
        for variable, value in context.items():
            if variable.get(None) is not value:
                variable.set(value)
        return result


def _with_connection(work: Callable[..., Result], *arguments: Any) -> Result:
    """Do the work; the connection that it leaves behind is kept while it is sound and young."""
    set_script_prefix(settings.FORCE_SCRIPT_NAME or "/")  # Django's is of the loop's thread alone
    close_old_connections()
    try:
        return work(*arguments)
    finally:
        close_old_connections()


@dataclass(frozen=True, slots=True)
class Pools:
    """All pools: together they have as many threads, and hold as many database connections, as
    they were given."""

    probes: Pool
    polls: Pool
    downloads: Pool
    programs: Pool
    pages: Pool

    @classmethod
    def of(cls, threads: int) -> Self:
        """Divide 8 threads or more."""
        polls = downloads = threads // 8
        programs = threads * 5 // 16
        return cls(
            probes=Pool("probes", 1, seconds=5),
            polls=Pool("polls", polls, seconds=30),
            downloads=Pool("downloads", downloads, seconds=60),
            programs=Pool("programs", programs, seconds=30),
            pages=Pool("pages", threads - 1 - polls - downloads - programs, seconds=30),
        )

    def for_path(self, path: str) -> Pool:
        """Pool that answers a request; its file is then made in `downloads`."""
        if _PROBES.fullmatch(path):
            return self.probes
        if ADDRESSES.match(path):  # what sends a file on may take long
            return self.downloads
        if _POLLS.fullmatch(path):
            return self.polls
        return self.programs if is_of_program(path) else self.pages


class ThreadedHandler(ASGIHandler):
    """The ASGI application of Django, on these pools."""

    def __init__(self, pools: Pools) -> None:
        super().__init__()
        self.load_middleware(is_async=False)
        self._pools = pools
        self._downloads: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        for receiver in (close_old_connections, reset_queries):  # a pool does so, in its threads
            signals.request_started.disconnect(receiver)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # Without Django's context, which would make a thread for each request. To Django a path
        # has its prefix (`config.proxied`).
        prefix = settings.FORCE_SCRIPT_NAME or ""
        await self.handle({**scope, "path": f"{prefix}{scope['path']}"}, receive, send)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info == ALIVE:
            alive: HttpResponseBase = self.get_response(request)
            return alive
        try:
            pool = self._pools.for_path(request.path_info)
            response: HttpResponseBase = await pool.run(self.get_response, request)
        except Busy:
            return _busy(request)
        if isinstance(response, StreamingHttpResponse):
            address = request.META.get("REMOTE_ADDR") or ""
            turn = self._downloads.setdefault(address, asyncio.Semaphore(DOWNLOADS_AT_ONCE))
            parts = cast(Iterator[bytes], response.streaming_content)  # no view is asynchronous
            response.streaming_content = self._made_in_parts(parts, turn)
        return response

    async def _made_in_parts(
        self, parts: Iterator[bytes], turn: asyncio.Semaphore
    ) -> AsyncIterator[bytes]:
        """Each part is made when the one before has been sent; in between no thread is held.

        Django's own way is to gather all parts before it sends the first byte.
        """
        async with turn:
            while (part := await self._pools.downloads.run(next, parts, None)) is not None:
                yield part


def _busy(request: HttpRequest) -> HttpResponse:
    message = f"The server is busy; try again in {RETRY_SECONDS} seconds."
    if is_of_program(request.path_info):
        response: HttpResponse = error_for(request.path_info, 503, message)
    else:
        response = HttpResponse(f"{message}\n", status=503, content_type="text/plain")
    response["Retry-After"] = str(RETRY_SECONDS)
    return response
