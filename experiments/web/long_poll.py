"""`?wait=SECONDS`: hold a request back until the decision log has a new entry.

Django answers a request in a thread. So waiting happens in front of it: each look is a short
request of its own, in the threads for polls (`config.threads`), and between two looks a client
costs a coroutine.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LONGEST_WAIT = 60
LOOKS_AT_ONCE = 4  # when all who wait look again, others find their turn between two looks
WORTH_WAITING = "Verdict-Unchanged"
_PATHS = re.compile(r"/api/v1/projects/[^/]+/(champion|decisions)")
_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class News:
    """Says when the log grew: one question every half second, however many wait for it.

    `newest` returns a number that grows with every decision; `in_thread` has it asked in one.
    """

    newest: Callable[[], int]
    in_thread: Callable[[Callable[[], int]], Awaitable[int]] = asyncio.to_thread
    every: float = 0.5
    _seen: int = -1
    _waiting: int = 0
    _grew: asyncio.Condition | None = None
    _ticking: asyncio.Task[None] | None = None

    async def now(self) -> int:
        """The number, or one of the last half second: at worst a client looks once too often."""
        if self._ticking is not None and not self._ticking.done() and self._seen >= 0:
            return self._seen
        return await self.in_thread(self.newest)

    async def beyond(self, seen: int, seconds: float) -> None:
        """Return when the number is above `seen`, or after so many seconds."""
        grew = self._grew = self._grew or asyncio.Condition()
        self._waiting += 1
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.create_task(self._tick())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds), grew:
                    await grew.wait_for(lambda: self._seen > seen)
        finally:
            self._waiting -= 1

    async def _tick(self) -> None:
        assert self._grew is not None
        while self._waiting:
            try:
                self._seen = await self.in_thread(self.newest)
            except Exception:  # the database is away: those who wait go on waiting
                _logger.warning("waiting clients: the log cannot be read", exc_info=True)
            async with self._grew:
                self._grew.notify_all()
            await asyncio.sleep(self.every)


@dataclass(frozen=True, slots=True)
class LongPoll:
    """ASGI application in front of another one, which marks with the header
    `Verdict-Unchanged` an answer that is worth waiting over."""

    application: Application
    news: News
    looks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOOKS_AT_ONCE))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seconds = _seconds(scope)
        if not seconds:
            await self.application(scope, receive, send)
            return
        gone = asyncio.create_task(_until_gone(receive))
        answering = asyncio.create_task(self._answer(scope, seconds))
        try:
            await asyncio.wait((gone, answering), return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                for message in answering.result():
                    await send(message)
        finally:
            gone.cancel()
            answering.cancel()

    async def _answer(self, scope: Scope, seconds: float) -> list[Message]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            async with self.looks:
                seen = await self._newest()  # before the look, so that nothing falls between
                messages = await self._look(scope)
            left = deadline - loop.time()
            if left <= 0 or not _worth_waiting(messages):
                return messages
            await self.news.beyond(seen, left)

    async def _newest(self) -> int:
        try:
            return await self.news.now()
        except Exception:  # the look that follows tells the client what is wrong
            _logger.warning("a waiting client: the log cannot be read", exc_info=True)
            return -1

    async def _look(self, scope: Scope) -> list[Message]:
        messages: list[Message] = []
        asked = False

        async def receive() -> Message:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()  # it ends with the look
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        await self.application({**scope, "state": dict(scope.get("state", {}))}, receive, send)
        return messages


def _seconds(scope: Scope) -> float:
    """Seconds that a request wants to wait; 0 for any other, and for one that is refused."""
    if scope["type"] != "http" or scope["method"] != "GET" or not _PATHS.fullmatch(scope["path"]):
        return 0
    try:
        fields = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20)
    except ValueError:  # too many of them
        return 0
    asked = fields.get("wait", [])
    if len(asked) != 1 or not re.fullmatch(r"\d{1,2}", asked[0], re.ASCII):
        return 0
    return float(asked[0]) if int(asked[0]) <= LONGEST_WAIT else 0


def _worth_waiting(messages: list[Message]) -> bool:
    names = {name.lower() for name, _ in messages[0].get("headers", ())} if messages else set()
    return WORTH_WAITING.lower().encode() in names


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
