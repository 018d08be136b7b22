"""Uploads of files: streamed to disk by the event loop, within limits that are known first.

No thread waits for a client, and memory holds a block of each upload that is being received,
whatever its size.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from config.limits import Application, Gone, Message, Receive, Refused, Scope, Send, close_with
from config.threads import Busy
from experiments.errors import VerdictError
from experiments.web.uploads import ADDRESSES, EXCHANGE, Draft, Exchange

logger = logging.getLogger(__name__)

AT_ONCE = 8  # of one address
BLOCK = 2**20
_OF_BODIES = (b"content-length", b"transfer-encoding", b"expect")


class Uploads:
    """ASGI application in front of Django for requests whose body is a file.

    Args:
        in_thread: runs a function that writes to the disk.
    """

    def __init__(
        self, application: Application, in_thread: Callable[..., Awaitable[None]]
    ) -> None:
        self._application = application
        self._in_thread = in_thread
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def takes(self, scope: Scope) -> bool:
        """True for a request whose body is a file."""
        return scope["method"] == "PUT" and ADDRESSES.match(scope["path"]) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange()
        asked = _without_body(scope, exchange)
        address = (scope.get("client") or ("",))[0]
        turn = self._turns.setdefault(address, asyncio.Semaphore(AT_ONCE))
        async with turn:
            answer: list[Message] = []
            try:
                await self._application(asked, _nothing(), _collecting(answer))
                if exchange.draft is None or answer[0]["status"] != 204:
                    await close_with(answer, receive, send)
                    return
                await self._receive(exchange.draft, scope, receive)
                exchange.is_whole = True
                await self._application(asked, _nothing(), send)
            finally:
                if exchange.draft is not None:
                    await self._close(exchange.draft, keep=not exchange.is_whole)

    async def _close(self, draft: Draft, *, keep: bool) -> None:
        try:
            await self._in_thread(partial(draft.close, keep=keep))
        except Busy:
            draft.close(keep=keep)

    async def _receive(self, draft: Draft, scope: Scope, receive: Receive) -> None:
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and draft.size + int(announced) > draft.place.most:
            raise Refused(413, draft.place.message)
        block, more = bytearray(), True
        try:
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    raise Gone
                block += message.get("body", b"")
                more = message.get("more_body", False)
                if len(block) >= BLOCK or not more:
                    await self._in_thread(draft.write, bytes(block))
                    block.clear()
            await self._in_thread(draft.finish)
        except VerdictError as error:
            draft.key = ""  # nobody goes on with it
            raise Refused(error.status, error.message) from None
        except Busy:
            raise Refused(503, "The server is busy; try again.") from None
        except OSError as error:
            logger.error("an upload is not stored: %r", error)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "disk is full" if full else "disk does not take it"
            raise Refused(507 if full else 500, f"The server's {reason}.") from error


def _without_body(scope: Scope, exchange: Exchange) -> Scope:
    headers = [line for line in scope["headers"] if line[0] not in _OF_BODIES]
    return {**scope, "headers": headers, EXCHANGE: exchange}


def _nothing() -> Receive:
    """An empty body, and then nothing until the application is done."""
    is_sent = False

    async def tell() -> Message:
        nonlocal is_sent
        if is_sent:
            await asyncio.Event().wait()
        is_sent = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return tell


def _collecting(answer: list[Message]) -> Send:
    async def collect(message: Any) -> None:
        answer.append(message)

    return collect
