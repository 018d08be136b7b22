"""Bodies that are too large, against the real web server."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from urllib.parse import urlsplit

import pytest

from config.limits import BODY, SMALL_BODY
from experiments.team.services import tokens
from tests import cast
from tests.services_under_test.web_server import WebServer
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token() -> str:
    cast.project()
    _, secret = tokens.create(
        user=cast.person("ada"), project=None, name="t", scopes=("read", "write")
    )
    return str(secret)


def _post(server: WebServer, path: str, headers: dict[str, str], pieces: Iterator[bytes]) -> bytes:
    """Send a body in chunks for as long as the server takes them; what it answers."""
    parts = urlsplit(server.url)
    with closing(
        socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)
    ) as client:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        client.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{lines}"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                client.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            client.sendall(b"0\r\n\r\n")
        answer = b""
        with suppress(ConnectionResetError):
            while part := client.recv(65536):
                answer += part
                if b"connection: close" not in answer:
                    break
        return answer


def _pieces(size: int) -> Iterator[bytes]:
    for start in range(0, size, 16384):
        yield b"a" * min(16384, size - start)


def test_a_large_body_without_a_token_is_refused_with_413_and_the_connection_closed(
    web_server: WebServer,
) -> None:
    for path in ("/login/", "/api/v1/runs", "/nowhere"):
        answer = _post(web_server, path, {}, _pieces(SMALL_BODY + 1))
        assert answer.startswith(b"HTTP/1.1 413 "), path
        assert b"connection: close" in answer


def test_a_wrong_token_and_a_made_up_session_allow_no_more(web_server: WebServer) -> None:
    for headers in ({"Authorization": "Bearer no"}, {"Cookie": "sessionid=" + "a" * 32}):
        answer = _post(web_server, "/api/v1/runs", headers, _pieces(SMALL_BODY + 1))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413 ")
        assert set(json.loads(body)) == {"ok", "error", "errors", "status"}


def test_a_token_allows_a_large_body_up_to_a_limit(web_server: WebServer, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    answer = _post(web_server, "/api/v1/runs", headers, _pieces(BODY))
    assert answer.startswith(b"HTTP/1.1 400 "), "read, and found to be no JSON"
    answer = _post(web_server, "/api/v1/runs", headers, _pieces(BODY + 1))
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_an_announced_size_is_refused_before_anything_is_sent(
    web_server: WebServer, token: str
) -> None:
    parts = urlsplit(web_server.url)
    with closing(http.client.HTTPConnection("127.0.0.1", parts.port, PATIENCE)) as client:
        client.putrequest("POST", "/api/v1/runs")
        client.putheader("Authorization", f"Bearer {token}")
        client.putheader("Content-Length", str(400 * 2**20))
        client.putheader("Expect", "100-continue")
        client.endheaders()
        answer = client.getresponse()
        assert answer.status == 413 and answer.getheader("connection") == "close"


def test_a_small_body_needs_no_token(web_server: WebServer) -> None:
    answer = _post(web_server, "/login/", {}, _pieces(SMALL_BODY))
    assert answer.startswith(b"HTTP/1.1 403 "), "read, and without the form's token"
