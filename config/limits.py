"""Limits on requests before anything of theirs is read: header lines, bodies, protocols.

In front of Django, which spools a body of any size to disk before it asks what the request is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest
from django.http.cookie import parse_cookie

from config.threads import Busy
from experiments.site.pages.health import PROBES
from experiments.team.queries import token_access
from experiments.team.services import tokens
from experiments.web.api_errors import error_for, is_of_program

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADER_LINES = 100
SMALL_BODY = 64 * 1024  # from anybody
BODY = settings.DATA_UPLOAD_MAX_MEMORY_SIZE  # with a session or a token
BODIES = 64 * 2**20  # of all requests together
DRAINED = 2**20  # read on after a refusal, so that the client sees it
DRAIN_SECONDS = 1
_NOT_FORWARDED = (
    "BEHIND_TLS=1 is set, but this request has no header X-Forwarded-Proto. Let the proxy that "
    "ends TLS send it (nginx: proxy_set_header X-Forwarded-Proto $scheme;), or, without such a "
    "proxy, unset BEHIND_TLS."
)
logger = logging.getLogger("uvicorn.error")


class Refused(Exception):
    """The request is answered with an error, and its connection closed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Gone(Exception):
    """The client left before its request was complete."""


class Streaming(Protocol):
    """An application that reads bodies itself."""

    def takes(self, scope: Scope) -> bool: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Limits:
    """ASGI application in front of another one, which is given complete requests alone.

    Args:
        in_thread: runs a function that asks the database.
        uploads: takes the requests whose bodies are not held in memory.
    """

    def __init__(
        self,
        application: Application,
        in_thread: Callable[..., Awaitable[bool]],
        uploads: Streaming | None = None,
    ) -> None:
        self.application = application
        self._uploads = uploads
        self._in_thread = in_thread
        self._held = 0  # bytes of all bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        body = bytearray()
        try:
            headers = _checked_headers(scope)
            if self._uploads is not None and self._uploads.takes(scope):
                await self._uploads(scope, receive, send)
                return
            if b"content-length" not in headers and b"transfer-encoding" not in headers:
                await self.application(scope, receive, send)
                return
            await self._read(body, headers, receive)
            await self.application(scope, _then(bytes(body), receive), send)
        except Refused as refused:
            await _answer(scope, refused, receive, send)
        except Gone:
            return
        finally:
            self._held -= len(body)

    async def _read(
        self, body: bytearray, headers: Mapping[bytes, bytes], receive: Receive
    ) -> None:
        """Read the whole body, as far as whoever sends it may send.

        Raises:
            Refused: before more than the limit has been read.
        """
        most = SMALL_BODY
        announced = headers.get(b"content-length", b"")
        expected = int(announced) if announced.isdigit() else 0
        more = True
        while True:
            if most == SMALL_BODY and max(expected, len(body)) > most:
                most = await self._most_for(headers)
            if max(expected, len(body)) > most:
                raise Refused(413, _too_large(most))
            if not more:
                return
            message = await receive()
            if message["type"] != "http.request":
                raise Gone
            part = message.get("body", b"")
            body += part
            self._held += len(part)
            if self._held > BODIES:
                raise Refused(503, "The server is busy with large requests; try again.")
            more = message.get("more_body", False)

    async def _most_for(self, headers: Mapping[bytes, bytes]) -> int:
        try:
            return BODY if await self._in_thread(_is_known, headers) else SMALL_BODY
        except (Busy, DatabaseError, InterfaceError) as error:
            logger.warning("who sends a large body cannot be asked: %r", error)
            raise Refused(503, "The server is busy; try again.") from None


def _too_large(most: int) -> str:
    if most == SMALL_BODY:
        return f"The body is too large: expected at most {most // 1024} KiB without a valid token."
    return (
        f"The body is too large: expected at most {most / 2**20:.1f} MiB as it is sent; split it."
    )


def _checked_headers(scope: Scope) -> dict[bytes, bytes]:
    lines: list[tuple[bytes, bytes]] = scope["headers"]
    if len(lines) > HEADER_LINES:
        raise Refused(431, f"The request has more than {HEADER_LINES} header lines.")
    headers = dict(lines)
    forwarded = not settings.BEHIND_TLS or b"x-forwarded-proto" in headers
    if not forwarded and scope["path"] not in PROBES:
        raise Refused(400, _NOT_FORWARDED)  # a redirect to https would come back for ever
    upgrade = headers.get(b"upgrade", b"").strip().lower()
    # HTTP/2 is an offer that may be ignored (RFC 9110, 7.8); of others the client speaks next.
    if b"upgrade" in headers.get(b"connection", b"").lower() and upgrade not in (b"", b"h2c"):
        name = upgrade.decode("latin-1")[:40]
        logger.warning("refused: %s is not spoken here (%r)", name, scope["path"][:200])
        raise Refused(400, f"This server speaks HTTP alone, not {name}.")
    return headers


def _is_known(headers: Mapping[bytes, bytes]) -> bool:
    """Test whether a valid token or session came with the request."""
    secret = tokens.secret_in(headers.get(b"authorization", b"").decode("latin-1"))
    if secret and token_access.find(tokens.digest(secret)) is not None:
        return True
    cookies = parse_cookie(headers.get(b"cookie", b"").decode("latin-1"))
    key = cookies.get(settings.SESSION_COOKIE_NAME)
    if not key:
        return False
    request = HttpRequest()
    request.session = SessionStore(key)
    return bool(get_user(request).is_authenticated)


def _then(body: bytes, receive: Receive) -> Receive:
    """Tells the whole body first, and then of the client's leaving."""
    answered = False

    async def tell() -> Message:
        nonlocal answered
        if answered:
            return await receive()
        answered = True
        return {"type": "http.request", "body": body, "more_body": False}

    return tell


async def _answer(scope: Scope, refused: Refused, receive: Receive, send: Send) -> None:
    """Refuse and close."""
    text, kind = f"{refused}\n".encode(), b"text/plain; charset=utf-8"
    if is_of_program(scope["path"]):
        text, kind = (
            error_for(scope["path"], refused.status, str(refused)).content,
            b"application/json",
        )
    headers = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(text)),
    ]
    if refused.status == 503:
        headers.append((b"retry-after", b"5"))
    start = {"type": "http.response.start", "status": refused.status, "headers": headers}
    await close_with([start, {"type": "http.response.body", "body": text}], receive, send)


async def close_with(answer: Sequence[Message], receive: Receive, send: Send) -> None:
    """Send a whole answer and close; what is still on its way is read a little and dropped."""
    start, *parts = answer
    lines = [*start["headers"], (b"connection", b"close")]
    await send({**start, "headers": lines})
    body = b"".join(part.get("body", b"") for part in parts)
    await send({"type": "http.response.body", "body": body, "more_body": True})
    drained, more = 0, True
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while more and drained < DRAINED:
                message = await receive()
                drained += len(message.get("body", b""))
                more = message.get("more_body", False)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
