"""A small reverse proxy with a path prefix, as a team's nginx or Traefik would stand in front."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.waiting import PATIENCE

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(slots=True)
class Proxy:
    """A proxy for `upstream` under `prefix`.

    Attributes:
        strips: whether the prefix is taken away before a request is passed on.
        adds: headers that are set on each request.
        outside: paths that were asked for and do not lie below the prefix.
    """

    url: str
    prefix: str
    strips: bool = True
    upstream: str = ""
    adds: Mapping[str, str] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)


@contextmanager
def started(prefix: str) -> Iterator[Proxy]:
    """The proxy, on any free port; set its `upstream` before the first request."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    origin = f"http://127.0.0.1:{server.server_address[1]}"
    proxy = _Handler.proxies[server.server_address[1]] = Proxy(f"{origin}{prefix}", prefix)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    proxies: dict[int, Proxy] = {}  # noqa: RUF012  (by port)

    def _pass_on(self) -> None:
        proxy = self.proxies[self.server.server_address[1]]
        if not self.path.startswith(f"{proxy.prefix}/"):
            proxy.outside.append(self.path)
            self.send_error(404)
            return
        path = self.path[len(proxy.prefix) :] if proxy.strips else self.path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
        upstream = urlsplit(proxy.upstream)
        connection = http.client.HTTPConnection(upstream.netloc, timeout=PATIENCE)
        with closing(connection):
            connection.request(self.command, path, body or None, {**headers, **proxy.adds})
            self._answer(connection.getresponse())

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        content = answer.read()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        with suppress(ConnectionError):  # the browser has gone on to another page
            self.end_headers()
            self.wfile.write(content)

    do_GET = do_POST = do_HEAD = do_DELETE = do_PUT = _pass_on

    def log_message(self, *_: object) -> None:
        """Nothing: its requests are told by whoever tests."""
