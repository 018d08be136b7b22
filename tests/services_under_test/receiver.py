"""A real HTTP server in a thread: what a webhook meets out there, well-behaved or not."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme

from tests.waiting import PATIENCE


@dataclass(slots=True)
class Receiver:
    """`answers` is what it does next, the last one for ever: a status, or "hang", "drip"
    (a byte of a header at a time), "giant" or "redirect". `got` is what reached it."""

    port: int = 0
    answers: list[Any] = field(default_factory=lambda: [200])
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    sent_bytes: int = 0
    asked_for: list[str | None] = field(default_factory=list)  # names that TLS clients gave (SNI)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?team=digits"

    def next_answer(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append(({**dict(self.headers), ":path": self.path}, body))
            answer = receiver.next_answer()
            if answer == "hang":
                receiver.released.wait(PATIENCE)
            elif answer == "drip":
                self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
                while not receiver.released.wait(0.05):
                    self.wfile.write(b"a")
            elif answer == "giant":
                self._giant()
            elif answer == "redirect":
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                self.end_headers()
            else:
                self.send_response(answer)
                self.end_headers()
                self.wfile.write(b"thanks" if answer < 300 else b"it is broken: " + b"x" * 900)

        do_GET = do_POST

        def _giant(self) -> None:
            self.send_response(200)
            self.end_headers()
            while not receiver.released.is_set() and receiver.sent_bytes < 2**30:
                receiver.sent_bytes += self.wfile.write(b"y" * 65536)

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                return  # the other side has gone

        def log_message(self, *args: object) -> None:
            return

    return Handler


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Listens on a port of this machine for as long as the test lasts."""
    yield from _serve(Receiver())


@pytest.fixture
def tls_receiver() -> Iterator[tuple[Receiver, ssl.SSLContext]]:
    """The same over TLS, as hooks.example.org; with a context that trusts its certificate."""
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example.org").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    made = Receiver()

    def note(connection: object, name: str | None, context: object) -> None:
        made.asked_for.append(name)

    serving.sni_callback = note
    for served in _serve(made, serving):
        yield served, trusting


def _serve(made: Receiver, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    server.daemon_threads = True
    made.port = server.server_address[1]
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.released.set()
    server.shutdown()
    server.server_close()
    thread.join()
