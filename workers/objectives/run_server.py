"""Verdict's HTTP API for one run, on this machine only, while its command runs.

A program that logs to Verdict from anywhere else (`client/verdict.py`) logs to its trial here
without a change. Nothing leads from here to the database: points go the way of all points.
"""

from __future__ import annotations

import gzip
import hmac
import json
import queue
import secrets
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MOST_BYTES = 32 * 2**20  # of a body, unpacked
_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


@dataclass(frozen=True, slots=True)
class Item:
    """One log call of the program."""

    metrics: Mapping[str, Any]
    step: Any = None


class RunServer:
    """Listens on a free port of the loopback address between `with` and its end."""

    def __init__(
        self, run_id: int, items: queue.SimpleQueue[Item], stops: Callable[[], bool]
    ) -> None:
        self._token = secrets.token_urlsafe(32)
        self._run_id = run_id
        self._items = items
        self._stops = stops
        self._batches: set[int] = set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def environment(self) -> dict[str, str]:
        """Environment that tells a program where it logs to, and as which run."""
        return {
            "VERDICT_URL": f"http://127.0.0.1:{self._server.server_port}",
            "VERDICT_RUN": str(self._run_id),
            "VERDICT_TOKEN": self._token,
        }

    def __enter__(self) -> RunServer:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str, token: str, body: Any) -> tuple[int, dict[str, Any]]:
        """Status and document for a POST."""
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return 401, _error(401, "this run takes another token")
        place = f"/api/v1/runs/{self._run_id}"
        if path == "/api/v1/runs":
            return 200, {"id": self._run_id, "number": self._run_id}
        if path not in (f"{place}/points", f"{place}/finish"):
            return 404, _error(404, "a run's program can reach that run only")
        if not isinstance(body, dict):
            return 422, _error(422, "expected a JSON object")
        if path.endswith("/finish"):  # the worker sees how it ends
            return 200, {"state": body.get("state", "complete"), "value": None}
        return self._take(body)

    def _take(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        points, batch = body.get("points") or [], body.get("batch")
        if not isinstance(points, list) or not all(
            isinstance(point, dict) and isinstance(point.get("metrics"), dict) for point in points
        ):
            return 422, _error(422, "points: expected a list of {step, metrics}")
        with self._lock:
            stored = bool(points) and batch not in self._batches
            if isinstance(batch, int):
                self._batches.add(batch)
            for point in points if stored else ():
                metrics = {name: _number(value) for name, value in point["metrics"].items()}
                self._items.put(Item(metrics, point.get("step")))
        return 200, {
            "stored": stored,
            "late": False,
            "points": len(points),
            "stop": self._stops(),
            "skipped": [],
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def do_POST(self) -> None:
                status, document = server.answer(
                    self.path,
                    self.headers.get("Authorization", "").removeprefix("Bearer "),
                    _body(self),
                )
                packed = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(packed)))
                self.end_headers()
                self.wfile.write(packed)

            def log_message(self, format: str, *args: Any) -> None:
                """Keep quiet: standard error is the program's alone."""

        return Handler


def _body(request: BaseHTTPRequestHandler) -> Any:
    """The body as JSON; None for what is none or too large."""
    try:
        size = int(request.headers.get("Content-Length", 0))
        if not 0 <= size <= MOST_BYTES:
            request.close_connection = True
            return None
        raw = request.rfile.read(size)
        if request.headers.get("Content-Encoding") == "gzip":
            unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
            raw = unpacker.decompress(raw, MOST_BYTES)
            if unpacker.unconsumed_tail:
                return None
        return json.loads(raw or b"{}")
    except (ValueError, RecursionError, zlib.error, gzip.BadGzipFile, OSError):
        return None


def _number(value: object) -> object:
    return _WORDS.get(value, value) if isinstance(value, str) else value


def _error(status: int, text: str) -> dict[str, Any]:
    return {"ok": False, "status": status, "error": text, "errors": []}
