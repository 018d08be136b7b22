"""Django in the web server: one thread for each request, and so many of them at once.

Nothing here waits in asynchronous code (`experiments.web.long_poll` does, in front of Django), so
middleware and view of a request run in one go in its thread. Django's own handler would hand each
middleware's halves over to that thread and back, a dozen times a request.
"""

from __future__ import annotations

import asyncio
from typing import Any

from asgiref.sync import sync_to_async
from django.core import signals
from django.core.handlers.asgi import ASGIHandler
from django.db import close_old_connections, reset_queries
from django.http import HttpRequest, HttpResponseBase


class ThreadedHandler(ASGIHandler):
    """The ASGI application of Django.

    Args:
        threads: how many requests are answered at once; the others wait their turn, in order.
            No more database connections are open for them.
    """

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.load_middleware(is_async=False)
        self._turns = asyncio.Semaphore(threads)
        # A request's thread is new: there is no connection in it to close, nor a query to forget.
        for each in (close_old_connections, reset_queries):
            signals.request_started.disconnect(each)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        async with self._turns:
            response: HttpResponseBase = await sync_to_async(self._respond)(request)
            return response

    def _respond(self, request: HttpRequest) -> Any:
        try:
            return self.get_response(request)
        finally:
            # Before a slow client has read the answer. What is sent in parts (see
            # `experiments.web.streaming`) asks for its connection when it begins.
            close_old_connections()
