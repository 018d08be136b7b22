"""Clients that send, read or leave as no browser does, against the real web server."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import psutil
import pytest

from config.connections import HEAD_BYTES
from config.limits import HEADER_LINES
from tests.services_under_test.web_server import WebServer
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 120  # until a client of these tests gives up
HALF = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
PROBE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Closes what a test opened."""
    with ExitStack() as stack:
        yield stack


def _connect(server: WebServer, opened: ExitStack, source: str = "127.0.0.1") -> socket.socket:
    parts = urlsplit(server.url)
    assert parts.hostname == "127.0.0.1" and parts.port
    found = socket.create_connection(
        (parts.hostname, parts.port), timeout=SECONDS, source_address=(source, 0)
    )
    return opened.enter_context(found)


def _answer(client: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    found = b""
    with suppress(ConnectionResetError):
        while part := client.recv(65536):
            found += part
    return found


def _status(client: socket.socket) -> int:
    return int(client.recv(65536).split(b" ")[1])


def _send_until_refused(client: socket.socket, piece: bytes, times: int) -> int:
    sent = 0
    with suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(times):
            client.sendall(piece)
            sent += len(piece)
    return sent


def _memory(server: WebServer) -> int:
    return int(psutil.Process(server.pid).memory_info().rss)


def test_a_head_without_end_is_refused_before_it_fills_the_memory(
    strict_server: WebServer, opened: ExitStack
) -> None:
    before = _memory(strict_server)
    for piece in (b"X-Line: " + b"a" * 80 + b"\r\n", b"a" * 65536):
        client = _connect(strict_server, opened)
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        sent = _send_until_refused(client, piece, 2**26 // len(piece))
        assert sent < 2**25, "the rest was read, too"
    assert _memory(strict_server) - before < 2**24


def test_too_long_a_head_and_too_many_lines_are_answered_with_431(
    strict_server: WebServer, opened: ExitStack
) -> None:
    long = b"X-Long: " + b"a" * HEAD_BYTES * 2 + b"\r\n"
    many = b"".join(b"X-%d: a\r\n" % number for number in range(HEADER_LINES + 1))
    for lines in (long, many):
        client = _connect(strict_server, opened)
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n")
        answer = _answer(client)
        assert answer.startswith(b"HTTP/1.1 431 ") and b"connection: close" in answer


def test_a_head_and_a_body_that_never_end_are_answered_with_408(
    strict_server: WebServer, opened: ExitStack
) -> None:
    head, body = _connect(strict_server, opened), _connect(strict_server, opened)
    head.sendall(HALF)
    body.sendall(b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab")
    for client in (head, body):
        assert _answer(client).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("method", [b"HEAD", b"GET", b"POST", b"CONNECT"])
def test_a_body_that_is_none_is_answered_with_400_whatever_the_method(
    strict_server: WebServer, opened: ExitStack, method: bytes
) -> None:
    client = _connect(strict_server, opened)
    head = b" /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    client.sendall(method + head + b"no\r\n")
    assert _answer(client).startswith(b"HTTP/1.1 400 ")
    log = strict_server.child.log.read_text(errors="replace")
    assert "LocalProtocolError" not in log


def test_a_slow_body_that_goes_on_is_waited_for(
    strict_server: WebServer, opened: ExitStack
) -> None:
    client = _connect(strict_server, opened)
    client.sendall(b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 49152\r\n\r\n")
    for _ in range(6):
        client.sendall(b"a" * 8192)
        time.sleep(0.6)  # more than the server's patience in all
    assert _status(client) == 403


def test_half_requests_of_one_address_are_bounded_and_stop_nobody(
    strict_server: WebServer, opened: ExitStack
) -> None:
    halves = []
    for _ in range(400):  # more than the server has descriptors
        client = _connect(strict_server, opened, "127.0.0.3")
        with suppress(OSError):
            client.sendall(HALF)
        halves.append(client)
        if len(halves) % 100 == 0:
            for source in ("127.0.0.1", "127.0.0.3"):
                other = _connect(strict_server, opened, source)
                other.sendall(PROBE)
                assert _status(other) == 200
    process = psutil.Process(strict_server.pid)

    def held() -> int:
        return sum(
            1 for connection in process.net_connections() if connection.raddr[:1] == ("127.0.0.3",)
        )

    wait_until(lambda: held() <= 20, what="the rest is closed")
    lines = [line for line in strict_server.child.last_lines(60) if "127.0.0.3: more" in line]
    assert len(lines) == 1


def test_connections_of_many_addresses_never_use_up_the_descriptors(
    strict_server: WebServer, opened: ExitStack
) -> None:
    for number in range(240):
        client = _connect(strict_server, opened, f"127.0.1.{number + 1}")
        with suppress(OSError):
            client.sendall(HALF)
    other = _connect(strict_server, opened)
    other.sendall(PROBE)
    assert _status(other) == 200


def test_an_answer_that_is_not_read_is_given_up(
    strict_server: WebServer, opened: ExitStack
) -> None:
    client = _connect(strict_server, opened, "127.0.0.4")
    with suppress(OSError):
        for _ in range(400):  # 400 pages, pipelined: more than the kernel's buffers hold
            client.sendall(b"GET /login/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    process = psutil.Process(strict_server.pid)
    wait_until(
        lambda: all(
            connection.raddr[:1] != ("127.0.0.4",) for connection in process.net_connections()
        ),
        what="the connection is closed",
    )


def test_a_websocket_is_refused_with_one_line_in_the_log(
    strict_server: WebServer, opened: ExitStack
) -> None:
    client = _connect(strict_server, opened)
    client.sendall(
        b"GET /socket-here HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert _answer(client).startswith(b"HTTP/1.1 400 ")
    probe = _connect(strict_server, opened)
    probe.sendall(PROBE)
    assert _status(probe) == 200
    lines = strict_server.child.last_lines(200)
    assert len([line for line in lines if "socket-here" in line]) == 1
    assert not any("Traceback" in line or "WebSocket library" in line for line in lines)


def test_an_offer_of_http_2_is_ignored(strict_server: WebServer, opened: ExitStack) -> None:
    client = _connect(strict_server, opened)
    client.sendall(
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    )
    assert _status(client) == 200


def test_requests_one_after_another_share_a_connection(
    strict_server: WebServer, opened: ExitStack
) -> None:
    client = _connect(strict_server, opened)
    for times in (1, 1, 3):  # the last ones pipelined
        client.sendall(PROBE * times)
        found = b""
        while found.count(b"ok\n") < times:
            part = client.recv(65536)
            assert part, found
            found += part
