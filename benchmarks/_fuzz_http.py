"""Damaged HTTP over real sockets, against the web server as it is deployed.

The server is a process of its own on a SQLite file of its own, on this machine alone. While it is
attacked somebody else asks for `/healthz` and for a champion, and its memory is watched.
"""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from benchmarks._fuzz_mutations import Rng
from benchmarks._table import Row, row

ROOT = Path(__file__).resolve().parents[1]
THREADS = 8
ANSWER_SECONDS = 0.2  # for a request that may be incomplete
STALL_MS, GROWTH_MB, POLL_MS = 1000, 50, 100
PREPARE = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from config.static_files import collect_if_changed
collect_if_changed()
from experiments.team.services import tokens
from tests import cast
project = cast.project()
cast.decided("d", "adopt", "It pays.")
print(tokens.create(user=cast.person("ada"), project=None, name="f", scopes=tokens.SCOPES)[1])
"""


@dataclass(slots=True)
class Watched:
    """What the server did meanwhile: the worst waits for `/healthz` and a poll and the most
    memory by what went on, and what it had before."""

    going_on: str = "damaged HTTP"
    health_ms: dict[str, float] = field(default_factory=dict)
    poll_ms: dict[str, float] = field(default_factory=dict)
    memory_mb: dict[str, float] = field(default_factory=dict)
    before_mb: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Server:
    port: int
    pid: int
    token: str

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(
            ("127.0.0.1", self.port), timeout=30, source_address=(source, 0)
        )

    def wait_ms(self, path: str) -> float:
        """How long a client that does nothing wrong waits for its answer."""
        begun = time.perf_counter()
        with self.connect("127.0.0.2") as client:
            head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            client.sendall(f"{head}Authorization: Bearer {self.token}\r\n\r\n".encode())
            answer = client.recv(100)
        if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 404")):
            raise RuntimeError(f"{path} answers {answer!r}")
        return 1000 * (time.perf_counter() - begun)


HEALTH, POLL = "/healthz", "/api/v1/projects/digits/champion"


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """The web server, with a project and a token that may do everything."""
    from tests.services_under_test.ports import free_port

    port = free_port()
    environment = {**os.environ, "VERDICT_DATA": str(folder), "WEB_CLIENT_SECONDS": "5"}
    environment["DJANGO_SETTINGS_MODULE"] = "config.settings"
    environment.pop("DATABASE_URL", None)
    made = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PREPARE],
        cwd=ROOT, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    with (folder / "web.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "config.web_server", "--port", str(port)],
            cwd=ROOT, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    server = Server(port, process.pid, made.stdout.strip().splitlines()[-1])
    try:
        deadline = time.monotonic() + 120
        while True:
            with suppress(OSError, RuntimeError):
                server.wait_ms(HEALTH)
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "web.log").read_text()[-2000:])
            time.sleep(0.2)
        yield server
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def watched(server: Server) -> Iterator[Watched]:
    """Ask for the server's health and for a champion without pause, and weigh its memory."""
    seen, ended = Watched(), threading.Event()
    process = psutil.Process(server.pid)

    def ask(path: str, waits_ms: dict[str, float]) -> None:
        while not ended.is_set():
            what = seen.going_on
            try:
                wait = server.wait_ms(path)
            except (OSError, RuntimeError) as error:
                seen.wrong.setdefault(f"{path} {error}", b"")
                wait = 30_000.0
            waits_ms[what] = max(waits_ms.get(what, 0.0), wait)
            ended.wait(0.05)

    def weigh() -> None:
        while not ended.is_set():
            held = process.memory_info().rss / 2**20
            seen.memory_mb[seen.going_on] = max(seen.memory_mb.get(seen.going_on, 0.0), held)
            ended.wait(0.02)

    for _ in range(20):
        server.wait_ms(POLL)
    seen.before_mb = process.memory_info().rss / 2**20
    threads = [
        threading.Thread(target=ask, args=arguments)
        for arguments in ((HEALTH, seen.health_ms), (POLL, seen.poll_ms))
    ]
    threads.append(threading.Thread(target=weigh))
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def whole(token: str) -> list[bytes]:
    """Requests in which nothing is wrong yet."""
    host = b"Host: localhost\r\n"
    known = host + f"Authorization: Bearer {token}\r\n".encode()
    run = json.dumps({"project": "digits", "experiment": "e", "params": {"lr": 0.1}}).encode()
    form = b"username=ada&password=wrong&csrfmiddlewaretoken=x"
    packed = gzip.compress(run)
    return [
        b"GET / HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /login/ HTTP/1.1\r\n" + host + b"Accept-Encoding: gzip\r\n\r\n",
        b"HEAD /healthz HTTP/1.1\r\n" + host + b"\r\n",
        b"OPTIONS * HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /static/js/submit_once.js HTTP/1.1\r\n" + host + b"Range: bytes=0-9\r\n\r\n",
        b"GET " + POLL.encode() + b"?wait=0 HTTP/1.1\r\n" + known + b"\r\n",
        b"POST /login/ HTTP/1.1\r\n" + host + b"Content-Length: %d\r\n\r\n" % len(form) + form,
        b"POST /api/v1/runs HTTP/1.1\r\n" + known + b"Content-Length: %d\r\n\r\n" % len(run) + run,
        b"POST /api/v1/runs HTTP/1.1\r\n" + known + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"1\r\n%c\r\n" % letter for letter in run) + b"0\r\n\r\n",
        b"POST /api/v1/runs HTTP/1.1\r\n" + known + b"Content-Encoding: gzip\r\n"
        + b"Content-Length: %d\r\n\r\n" % len(packed) + packed,
        b"GET / HTTP/1.1\r\n" + host + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 60,
    ]  # fmt: skip


INSERTED = (
    b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b"\xff\xfe", b"\xc3\x28", b"%00", b"%",
    b"//", b"../" * 40, b"a" * 9000, b"X: " + b"b" * 40_000 + b"\r\n", b"X: y\r\n" * 150,
    b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999\r\n",
    b"Content-Length: 0x10\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: elsewhere.example\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: chunked, identity\r\n",
    b"Expect: 100-continue\r\n", b"Content-Type: multipart/form-data; boundary=\r\n",
    b"Content-Type: application/json; charset=utf-7\r\n", b"Cookie: sessionid=\xff; =;;=\r\n",
    b"Range: bytes=9-1,0-,-\r\n", b"Connection: close, keep-alive, upgrade\r\n", b"Upgrade: x\r\n",
    b"FFFFFFFFFFFFFFFF\r\n", b"-1\r\n", b"5;" + b"e" * 5000 + b"\r\n", b"Accept: */*;q=1e999\r\n",
    b"X-Forwarded-For: ::, 1\r\n", b"If-None-Match: W/\"\r\n", b"Authorization: Bearer\r\n",
)  # fmt: skip


def damaged(request: bytes, rng: Rng) -> bytes:
    """A request with one to four things wrong in it; at times with another one behind it."""
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(request) + 1))
        kind = int(rng.integers(7))
        if kind == 0:
            request = request[:at]
        elif kind == 1:
            request = request[:at] + bytes(rng.integers(0, 256, 3, np.uint8)) + request[at + 3 :]
        elif kind == 2:
            request = request + request[:at]
        elif kind == 3:
            lines = request.split(b"\r\n")
            lines.insert(int(rng.integers(len(lines))), lines[int(rng.integers(len(lines)))])
            request = b"\r\n".join(lines)
        else:
            what = INSERTED[int(rng.integers(len(INSERTED)))]
            if kind > 4:  # at the start of a line
                at = max(0, request.find(b"\r\n", min(at, len(request) // 2)) + 2)
            request = request[:at] + what + request[at:]
    return request


def attack(server: Server, seen: Watched, *, count: int, seed: int) -> None:
    """Send so many damaged requests, from several addresses of this machine at once."""
    lock, base = threading.Lock(), whole(server.token)

    def some(number: int) -> None:
        rng = np.random.default_rng([seed, number])
        for _ in range(count // THREADS):
            request = damaged(base[int(rng.integers(len(base)))], rng)
            status = _status(server, request, f"127.0.0.{10 + number}")
            with lock:
                seen.statuses[status] += 1
                if status.startswith("5"):
                    seen.wrong.setdefault(f"raw: {status}", request[:1500])

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(some, range(THREADS)))


def _status(server: Server, request: bytes, source: str) -> str:
    answer = b""
    with suppress(OSError), server.connect(source) as client:
        client.sendall(request)
        client.settimeout(ANSWER_SECONDS)
        answer = client.recv(4096)
    found = answer[9:12].decode("latin-1")
    return found if answer.startswith(b"HTTP/1.") and found.isdigit() else "none"


def flood(server: Server, seen: Watched) -> float:
    """One flood after another; how long a poll waits beside 300 slow connections (median, ms)."""
    get = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "
    post = b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    for seen.going_on, head, piece in (
        ("150 MB of header lines", get, b"X-Line: " + b"a" * 90 + b"\r\n"),
        ("a header of 150 MB", get, b"a" * 65_536),
        ("a body of 150 MB", post, b"10000\r\n" + b"a" * 65_536 + b"\r\n"),
        ("a body in chunks of one byte", post, b"1\r\na\r\n" * 20_000),
    ):
        _push(server, head, piece, 150 * 2**20)
    _bombs(server, seen)
    half = [get] * 1100
    seen.going_on = "300 half requests"
    with _held(server, half[:300]):
        waits = sorted(server.wait_ms(POLL) for _ in range(20))
    seen.going_on = "1,100 half requests"
    with _held(server, half):
        server.wait_ms(HEALTH)
    seen.going_on = "500 polls that wait 5 s"
    poll = f"GET {POLL}?wait=5 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}"
    with _held(server, [f"{poll}\r\n\r\n".encode()] * 500):
        time.sleep(7)
    return waits[len(waits) // 2]


def _push(server: Server, head: bytes, piece: bytes, most: int) -> None:
    with suppress(OSError), server.connect("127.0.0.5") as client:
        client.sendall(head)
        for _ in range(most // len(piece)):
            client.sendall(piece)


def _bombs(server: Server, seen: Watched) -> None:
    """Four at once, each of a few KB that unpack to 32 MiB of lists, objects, a string, depth."""
    seen.going_on = "bodies that unpack to 32 MiB"
    inner = (b"[]," * 10**7, b'{"a":1},' * 4 * 10**6, b'"' + b"a" * 2**25 + b'",', b"[" * 2**25)
    for packed in (gzip.compress(b'{"points":[' + body + b"1]}", 6) for body in inner):
        head = (
            f"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Length: {len(packed)}\r\n\r\n"
        ).encode()

        def send(number: int, request: bytes = head + packed) -> str:
            with server.connect("127.0.0.6") as client:
                client.sendall(request)
                return client.recv(100)[9:12].decode()

        with ThreadPoolExecutor(4) as threads:
            for status in threads.map(send, range(4)):
                seen.statuses[status] += 1
                if not status.startswith("4"):
                    seen.wrong.setdefault(f"a body that unpacks to too much: {status}", packed)


@contextmanager
def _held(server: Server, requests: Sequence[bytes]) -> Iterator[None]:
    clients = []
    try:
        for request in requests:
            with suppress(OSError):
                client = server.connect("127.0.0.7")
                clients.append(client)
                client.sendall(request)
        yield
    finally:
        for client in clients:
            client.close()


def rows(folder: Path, *, count: int, seed: int) -> tuple[list[Row], dict[str, bytes]]:
    """Attack a server of its own; figures, and one request for each kind of failure."""
    with served(folder) as server:
        with watched(server) as seen:
            attack(server, seen, count=count, seed=seed)
        with watched(server) as flooded:
            poll = flood(server, flooded)
    broken = {**seen.wrong, **flooded.wrong}
    health, polls = seen.health_ms | flooded.health_ms, seen.poll_ms | flooded.poll_ms
    memory = seen.memory_mb | flooded.memory_mb
    growth = max(memory.values()) - seen.before_mb
    refused = sum(n for status, n in seen.statuses.items() if status.startswith("4"))
    return [
        row("raw damaged HTTP requests", sum(seen.statuses.values()), unit="count"),
        row("of them refused with 4xx", refused, unit="count"),
        row("kinds of failure over sockets", len(broken), unit="count", goal="0", met=not broken),
        row("growth of the server's memory", growth, unit="MB", goal=f"< {GROWTH_MB}",
            met=growth < GROWTH_MB),
        row("a poll beside 300 slow connections", poll, unit="ms", goal=f"< {POLL_MS}",
            met=poll < POLL_MS),
        *(row(f"longest wait for {path}: {what}", wait, unit="ms", goal=f"< {STALL_MS}",
              met=wait < STALL_MS)
          for path, waits in ((HEALTH, health), ("a poll", polls))
          for what, wait in waits.items()),
        *(row(f"most memory: {what}", held, unit="MB") for what, held in memory.items()),
    ], broken  # fmt: skip
