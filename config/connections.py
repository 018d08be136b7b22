"""Limits on HTTP connections, beside those of uvicorn and h11 that it inherits.

uvicorn bounds neither how long a client may take nor how many connections it may hold: half
requests, unread answers and idle connections stayed for ever, until no descriptor was left for
anybody else. See docs/decisions/0005-web-server.md for the servers compared.
"""

from __future__ import annotations

import asyncio
import http
import logging
import resource
import sys
import time
from collections import defaultdict
from typing import Any, ClassVar

import h11
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEAD_BYTES = 32 * 1024  # of request line and headers; h11 refuses more with 431
SLICE_BYTES = 4 * 1024  # parsed in one go: tiny chunks by the thousand hold nobody else up
BYTES_PER_SECOND = 4096  # the slowest body that is waited for
RESERVED_DESCRIPTORS = 100  # for the database, files and what answers send
SWEEP_SECONDS = 1.0
WARN_SECONDS = 60.0
_logger = logging.getLogger("uvicorn.error")


class Connections:
    """All open connections by client address, and the rules on how long and how many.

    Args:
        seconds: how long a client may keep the server waiting: for a complete head, for a body
            (plus one second for each `BYTES_PER_SECOND`), and for taking more of an answer.
        idle_seconds: how long a connection may stay open without any request.
        per_address: how many connections of one address may wait for their client. A trusted
            proxy brings many clients and is not counted.
        most: of all addresses together.
    """

    def __init__(
        self, *, seconds: float, idle_seconds: float, per_address: int, most: int
    ) -> None:
        self.seconds = seconds
        self.idle_seconds = idle_seconds
        self.per_address = per_address
        self.most = most
        self._open: defaultdict[str, set[BoundedProtocol]] = defaultdict(set)
        self._count = 0
        self._warned: dict[str, float] = {}
        self._sweeping = False

    def add(self, new: BoundedProtocol) -> None:
        """Admit a connection; where there are too many, one of the address with most of them ends:
        the one that waits longest. Each address alone is bounded by the sweep, since of many that
        come at once most have a request on its way."""
        if not self._sweeping:
            self._sweeping = True
            new.loop.call_later(SWEEP_SECONDS, self._sweep, new.loop)
        self._open[new.address].add(new)
        self._count += 1
        if self._count > self.most:
            self._warn("all clients together", self.most)
            open_here = max(self._open.values(), key=len)
            waiting = [
                connection
                for connection in open_here
                if connection.waits_since and connection is not new
            ]
            (min(waiting, key=_since) if waiting else new).transport.abort()

    def discard(self, gone: BoundedProtocol) -> None:
        open_here = self._open[gone.address]
        self._count -= gone in open_here
        open_here.discard(gone)
        if not open_here:
            del self._open[gone.address]

    def _bound(self, address: str, now: float) -> None:
        open_here = self._open.get(address, set())
        if not address or len(open_here) <= self.per_address:
            return
        new = now - SWEEP_SECONDS
        waiting = sorted((one for one in open_here if 0 < one.waits_since < new), key=_since)
        for longest in waiting[: max(0, len(waiting) - self.per_address)]:
            self._warn(address, self.per_address)
            longest.transport.abort()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(SWEEP_SECONDS, self._sweep, loop)
        now = time.monotonic()
        for address in list(self._open):
            for connection in list(self._open[address]):
                connection.end_if_overdue(now)
            self._bound(address, now)
        self._warned = {who: at for who, at in self._warned.items() if now - at < WARN_SECONDS}

    def _warn(self, who: str, most: int) -> None:
        if who not in self._warned:
            self._warned[who] = time.monotonic()
            _logger.warning(
                "%s: more than %d open connections; those that wait longest for their client "
                "are closed",
                who,
                most,
            )


def _since(connection: BoundedProtocol) -> float:
    return connection.waits_since or 0.0


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 over one connection, within the limits of `bounds`."""

    bounds: ClassVar[Connections]

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._held = bytearray()  # read, and not parsed yet
        self._idle_since = self._head_since = self._body_since = 0.0
        self._stalled_since = self._closing_since = 0.0
        self._body_bytes = 0
        self.address = ""

    @property
    def waits_since(self) -> float:
        """Since when the client is waited for (monotonic seconds); 0.0 while it is not."""
        if self._stalled_since:
            return self._stalled_since
        if not self._answering:
            return self._head_since or self._idle_since
        return self._body_since if self.cycle.more_body else 0.0

    @property
    def _answering(self) -> bool:
        """Test whether the head of a request has come and its answer is not complete."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._idle_since = time.monotonic()
        host = self.client[0] if self.client else ""
        self.address = "" if _is_proxy(self.config.loaded_app, host) else host
        self.bounds.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.bounds.discard(self)
        self._held.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._held += data
        if len(self._held) == len(data):
            self._parse()
        elif not self.transport.is_closing():  # what is held comes first
            self.transport.pause_reading()

    def _parse(self) -> None:
        """Parse a slice of what was read, and the next one after everybody else's turn."""
        if self.transport.is_closing():
            self._held.clear()
            return
        piece = bytes(self._held[:SLICE_BYTES])
        before, now = self.cycle, time.monotonic()
        if not self._answering:
            self._head_since = self._head_since or now
        self._body_bytes += len(piece)
        super().data_received(piece)
        if self.cycle is not before:
            self._head_since, self._body_since, self._body_bytes = 0.0, now, 0
        del self._held[:SLICE_BYTES]
        if self.transport.is_closing():
            self._held.clear()
        elif self._held:
            self.transport.pause_reading()
            self.loop.call_soon(self._parse)
        elif not self.flow.read_paused:
            self.transport.resume_reading()

    def on_response_complete(self) -> None:
        before, now = self.cycle, time.monotonic()
        self._idle_since, self._head_since = now, 0.0
        super().on_response_complete()
        if self.cycle is not before:  # a pipelined request has begun
            self._body_since, self._body_bytes = now, 0

    def pause_writing(self) -> None:
        self._stalled_since = time.monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled_since = 0.0
        super().resume_writing()

    def end_if_overdue(self, now: float) -> None:
        """Close the connection when its client has kept the server waiting for too long."""
        seconds = self.bounds.seconds
        if self.transport.is_closing():  # waits until the client has read the rest
            self._closing_since = self._closing_since or now
            if now - self._closing_since > seconds:
                self.transport.abort()
        elif self._stalled_since:
            if now - self._stalled_since > seconds:
                self.transport.abort()
        elif not self._answering:
            if self._head_since and now - self._head_since > seconds:
                self._refuse(408)
            elif now - self._idle_since > self.bounds.idle_seconds:
                self.transport.close()
        elif self.cycle.more_body and self.flow.read_paused:
            self._body_since += SWEEP_SECONDS  # the server does not read on, nor is it waiting
        elif (
            self.cycle.more_body
            and now - self._body_since > seconds + self._body_bytes / BYTES_PER_SECOND
        ):
            self._refuse(408)

    def send_400_response(self, msg: str) -> None:
        error = sys.exc_info()[1]
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        self._refuse(431 if hint == 431 else 400)

    def _refuse(self, status: int) -> None:
        """Answer with an error and close; just close when an answer is on its way already.

        Without a body, which is right for every method that the request may have had.
        """
        if self._answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        response = h11.Response(
            status_code=status,
            headers=[("content-length", "0"), ("connection", "close")],
            reason=http.HTTPStatus(status).phrase.encode(),
        )
        for event in (response, h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: `config.limits` refuses a protocol that is not spoken, and says so once."""


def most_connections() -> int:
    """Number of connections that the limit of descriptors admits, raised where it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return (65_536 if soft == resource.RLIM_INFINITY else soft) - RESERVED_DESCRIPTORS


def _is_proxy(application: Any, host: str) -> bool:
    return isinstance(application, ProxyHeadersMiddleware) and host in application.trusted_hosts
