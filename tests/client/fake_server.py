"""A Verdict server in a thread that keeps what it is sent and can be away, slow or strict."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import PATIENCE


class FakeServer:
    """`requests` are (path, body, headers); `points` what a run has logged, in order, once."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any, dict[str, str]]] = []
        self.batches: dict[int, Any] = {}
        self.status = 200  # of every answer but 200: an error
        self.answers = threading.Event()  # cleared: whoever asks hangs
        self.answers.set()
        self.losing = False  # stores, but the answer never arrives
        self.stop = False
        self.created: dict[str, Any] = {}  # answered beside the id of a new run
        self.connections = 0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                fake.connections += 1

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                body = json.loads(gzip.decompress(raw))
                fake.requests.append((self.path, body, dict(self.headers)))
                assert fake.answers.wait(PATIENCE)
                status, answer = fake.answer(self.path, body)
                if fake.losing:
                    self.close_connection = True
                    return
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        if self.status != 200:
            problem = {"where": "params.x", "message": "is wrong"}
            return self.status, {"error": "It was refused.", "errors": [problem]}
        if path.endswith("/points"):
            if "batch" in body:
                self.batches.setdefault(body["batch"], body["points"])
            return 200, {"stored": True, "late": False, "stop": self.stop, "skipped": []}
        if path.endswith("/params"):
            return 200, {}
        if path.endswith("/finish"):
            return 200, {"state": body["state"], "value": body["value"]}
        return 201, {"id": 7, "number": 0, **self.created}

    @property
    def points(self) -> list[tuple[int, dict[str, Any]]]:
        assert sorted(self.batches) == list(range(len(self.batches)))
        return [
            (call["step"], call["metrics"])
            for number in sorted(self.batches)
            for call in self.batches[number]
        ]

    def bodies(self, ending: str) -> list[Any]:
        return [body for path, body, _ in self.requests if path.endswith(ending)]

    def close(self) -> None:
        self.answers.set()
        self._http.shutdown()
        self._http.server_close()
