"""Log training runs to Verdict from anywhere. One file, standard library only: copy it.

    import verdict

    with verdict.run(project="digits", experiment="from my laptop",
                     params={"learning_rate": 0.01}, train_seed=1) as run:
        for step in range(1000):
            run.log({"train_loss": loss, "validation_accuracy": accuracy}, step=step)

The address comes from `url=` or VERDICT_URL, a token with the scope write from `token=` or
VERDICT_TOKEN. Logging never waits for the network: a thread sends what has come, again and again
while the server is away, each batch stored once. On ranks above 0 (RANK) nothing is sent.
"""

from __future__ import annotations

import atexit
import contextlib
import gzip
import http.client
import itertools
import json
import math
import operator
import os
import random
import socket
import ssl
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Run", "VerdictError", "run"]
__version__ = "1"

SEND_SECONDS = 1.0  # between batches
MAX_POINTS = 20_000  # values of one batch
MEMORY_BYTES = 16 * 2**20  # of packed batches that wait; more goes to a temporary file
KEEP_ALIVE_SECONDS = 60.0  # a run of which nothing is heard for an hour counts as lost
LONGEST_PAUSE = 30.0  # between two tries
START_SECONDS = 60.0  # how long to try to create a run
CLOSE_SECONDS = 300.0  # how long to try to deliver the rest at the end
TIMEOUT = 30.0  # of one request
_RETRIED = {408, 425, 429, 500, 502, 503, 504}


class VerdictError(Exception):
    """The server refused something, or could not be reached for too long."""


def run(
    *,
    project: str,
    experiment: str,
    params: Mapping[str, Any] | None = None,
    train_seed: int | None = None,
    split_seed: int | None = None,
    search_seed: int | None = None,
    metrics: Mapping[str, Mapping[str, Any] | None] | None = None,
    goal: str = "",
    replication: int | None = None,
    side: str | None = None,
    pair: int | None = None,
    url: str | None = None,
    token: str | None = None,
    **more: Any,
) -> Run:
    """Start a run; use it in a `with` statement, or call `finish` yourself.

    Args:
        params: hyperparameters; nested mappings get names like "optimizer.lr".
        train_seed, split_seed, search_seed: the seeds that the program uses. Verdicts over seeds
            need them.
        metrics: what the metrics are, as in an experiment file:
            {"cost": {"split": "validation", "kind": "loss", "direction": "minimize"}}.
        goal: the question that the experiment asks, when this run is its first.
        replication, side, pair: make the run a replicate of a replication that was declared on the
            experiment's Seeds page: its number there, "candidate" or "baseline", and, when it
            must be a certain one, which (from 1). Train with `run.params`, `run.train_seed` and
            `run.split_seed`. Seeds of your own that differ make the sides unpaired.
        more: notes, tags, commit, data and config_link, as the HTTP API takes them.

    Raises:
        VerdictError: when the server refuses, or does not answer for a minute.
    """
    if int(os.environ.get("RANK") or 0) > 0:
        told = {"params": dict(params or {}), "train_seed": train_seed, "split_seed": split_seed}
        return Run(None, 0, told)
    url = url or os.environ.get("VERDICT_URL") or "http://127.0.0.1:8000"
    token = token or os.environ.get("VERDICT_TOKEN") or ""
    body = {
        "project": project,
        "experiment": experiment,
        "params": dict(_flat(params or {})),
        "train_seed": train_seed,
        "split_seed": split_seed,
        "search_seed": search_seed,
        "metrics": {name: metric and dict(metric) for name, metric in (metrics or {}).items()},
        "goal": goal,
        "key": uuid.uuid4().hex,
        **({} if replication is None else {"replication": replication}),
        **({} if side is None else {"side": side}),
        **({} if pair is None else {"pair": pair}),
        **more,
    }
    handed = replication is not None
    server = _Server(url, token)
    try:
        answer = server.persist("POST", "/runs", body, time.monotonic() + START_SECONDS)
    except VerdictError:
        server.close()
        raise
    return Run(server, int(answer["id"]), answer if handed else body, replicate=handed)


class Run:
    """A run that is being logged. Made by `verdict.run`."""

    def __init__(
        self,
        server: _Server | None,
        run_id: int,
        told: Mapping[str, Any] | None = None,
        *,
        replicate: bool = False,
    ) -> None:
        self.id = run_id
        self.params: dict[str, Any] = dict((told or {}).get("params") or {})
        self.pair: int | None = (told or {}).get("pair")
        self.train_seed: int | None = (told or {}).get("train_seed")
        self._split_seed: int | None = (told or {}).get("split_seed")
        self._replicate = replicate
        self._read_split_seed = False
        self.stop_requested = False  # a person asks the run to end; heed it where it suits
        self._numbers = itertools.count()
        self._calls: deque[tuple[int, int, dict[str, Any]]] = deque()
        self._warned: set[object] = set()
        self._ended = False
        self._sender = _Sender(self, server) if server is not None else None
        if self._sender is not None:
            atexit.register(self._left_open)

    @property
    def split_seed(self) -> int | None:
        """The seed to split data by. Reading it tells the verdict that splits were varied."""
        self._read_split_seed = True
        return self._split_seed

    def log(self, metrics: Mapping[str, Any], step: Any = None) -> None:
        """Record metrics at a step; without one, the step is the number of earlier calls.

        Returns at once. A value that is no number is skipped, and its name told once.
        """
        number = next(self._numbers)
        if self._sender is None:
            return
        values = {}
        for name, given in metrics.items():
            value = given if type(given) is float else self._number(name, given)
            if value is not None:
                values[name] = value
        if values:
            at = number if step is None else self._step(step, number)
            self._calls.append((at, time.time_ns() // 1_000_000, values))

    def finish(
        self, state: str = "complete", value: float | None = None, reason: str = ""
    ) -> None:
        """Deliver all and end the run: "complete", "pruned" or "failed". Only the first counts.

        `value` is the score; without one it is the best value of the official metric.

        Raises:
            VerdictError: when points could not be delivered; it says how many.
        """
        if self._ended or self._sender is None:
            return
        self._ended = True
        atexit.unregister(self._left_open)
        ending = {"state": state, "value": value, "reason": reason[:10_000]}
        if self._replicate:
            ending["read_split_seed"] = self._read_split_seed
        self._sender.close(ending)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        if kind is None or (kind is SystemExit and error.code in (None, 0)):
            self.finish()
            return
        reason = "".join(traceback.format_exception(kind, error, trace))[-10_000:]
        try:
            self.finish("failed", reason=reason)
        except VerdictError as undelivered:  # the program's own error matters more
            _say(str(undelivered))

    def _left_open(self) -> None:
        with contextlib.suppress(VerdictError):
            self.finish("failed", reason="the program ended without finishing the run")

    def _number(self, name: Any, given: Any) -> float | None:
        if not isinstance(given, (str, bytes, bytearray)):  # float() itself would read "0.5"
            with contextlib.suppress(Exception):  # item() wants one element
                return float(given.item() if getattr(given, "ndim", 0) else given)
        self._warn(name, f"metric {name!r:.100}: skipped, a {type(given).__name__} is no number")
        return None

    def _step(self, step: Any, number: float) -> float:
        with contextlib.suppress(Exception):
            try:
                at: float = operator.index(step)
            except TypeError:
                at = int(step) if int(step) == float(step) else float(step)
            if -(2**63) <= at < 2**63:
                return at
        self._warn("step", f"step {step!r:.50} is no 64-bit number: calls are counted")
        return number

    def _warn(self, key: object, text: str) -> None:
        if key not in self._warned and len(self._warned) < 100:
            self._warned.add(key)
            _say(text)


class _Sender:
    """Packs calls into numbered batches in one thread and sends them in order from another."""

    def __init__(self, run: Run, server: _Server) -> None:
        self._run = run
        self._server = server
        self._queue = _Queue()
        self._batch = 0
        self._error: VerdictError | None = None
        self._heard_at = time.monotonic()
        self._closing = threading.Event()
        self._packed = threading.Event()
        self._deadline = math.inf
        self._threads = [
            threading.Thread(target=work, name="verdict", daemon=True)
            for work in (self._keep_packing, self._keep_sending)
        ]
        for thread in self._threads:
            thread.start()

    def close(self, ending: dict[str, Any]) -> None:
        self._deadline = time.monotonic() + CLOSE_SECONDS
        self._closing.set()
        for thread in self._threads:
            thread.join()
        self._queue.close()
        try:
            if self._error is not None:
                raise self._error
            address = f"/runs/{self._run.id}/finish"
            self._server.persist("POST", address, ending, self._deadline)
        finally:
            self._server.close()

    def _keep_packing(self) -> None:
        while not self._closing.wait(SEND_SECONDS):
            self._pack()
            self._packed.set()
        self._pack()
        self._packed.set()

    def _keep_sending(self) -> None:
        try:
            while not (self._closing.is_set() and not self._threads[0].is_alive()):
                self._packed.wait(SEND_SECONDS)
                self._packed.clear()
                self._send()
            self._send()
        except VerdictError as error:
            self._error = error
            self._run._calls = deque(maxlen=0)  # nobody takes them any more
            _say(f"logging has ended: {error}")

    def _pack(self) -> None:
        """All that has been logged, as packed batches at the end of the queue."""
        points: list[dict[str, Any]] = []
        count = 0
        for _ in range(len(self._run._calls)):
            step, time_ms, values = self._run._calls.popleft()
            for part in _parts(values):
                if points and count + len(part) > MAX_POINTS:
                    self._put(points, count)
                    points, count = [], 0
                points.append({"step": step, "time_ms": time_ms, "metrics": part})
                count += len(part)
        if points:
            self._put(points, count)

    def _put(self, points: list[dict[str, Any]], count: int) -> None:
        text = _json({"batch": self._batch, "points": points})
        self._queue.put(gzip.compress(text, 1), count)
        self._batch += 1

    def _send(self) -> None:
        """Deliver the queue, with growing pauses while nobody answers."""
        address = f"/runs/{self._run.id}/points"
        tries = 0
        while (packed := self._queue.first()) is not None:
            try:
                self._hear(self._server.request("POST", address, packed))
            except _Away as away:
                tries += 1
                if time.monotonic() > self._deadline:
                    text = f"{self._queue.points} points were not delivered: {away}"
                    raise VerdictError(text) from None
                if tries == 3:
                    _say(f"the server is away, points wait: {away}")
                # Longer each time, not all programs at once, and soon again at the end.
                longest = 2.0 if self._closing.is_set() else LONGEST_PAUSE
                pause = min(longest, 0.25 * 2**tries) * random.uniform(0.5, 1.0)
                if self._closing.is_set():
                    time.sleep(pause)
                else:
                    self._closing.wait(pause)
                continue
            tries = 0
            self._queue.drop()
        if time.monotonic() - self._heard_at > KEEP_ALIVE_SECONDS:
            with contextlib.suppress(_Away):
                self._hear(self._server.request("POST", address, gzip.compress(b"{}", 1)))

    def _hear(self, answer: dict[str, Any]) -> None:
        self._heard_at = time.monotonic()
        self._run.stop_requested = bool(answer.get("stop"))
        for skipped in answer.get("skipped", ()):
            name = skipped["where"].rpartition(".metrics.")[2]
            self._run._warn(name, f"metric {name!r}: {skipped['message']}")
        if answer.get("late"):
            self._run._warn("late", "the run has ended already: points are kept but not drawn")


class _Queue:
    """Packed batches, first in first out; in memory, and in a temporary file when it is many."""

    def __init__(self) -> None:
        self.points = 0
        self._lock = threading.Lock()
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115
        self._batches: deque[tuple[int, int]] = deque()  # bytes and points of each
        self._start = 0
        self._end = 0

    def close(self) -> None:
        self._file.close()

    def put(self, packed: bytes, points: int) -> None:
        with self._lock:
            self._file.seek(self._end)
            self._file.write(packed)
            self._end += len(packed)
            self._batches.append((len(packed), points))
            self.points += points

    def first(self) -> bytes | None:
        with self._lock:
            if not self._batches:
                return None
            self._file.seek(self._start)
            return self._file.read(self._batches[0][0])

    def drop(self) -> None:
        with self._lock:
            size, points = self._batches.popleft()
            self._start += size
            self.points -= points
            if not self._batches:
                self._file.seek(0)
                self._file.truncate()
                self._start = self._end = 0


class _Away(Exception):
    """Nobody answered, or said to come again."""


class _Server:
    """One kept-alive connection to the HTTP API."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise VerdictError(f"{url!r} is no http or https address")
        self.url = url
        self._path = parts.path.rstrip("/") + "/api/v1"
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "User-Agent": f"verdict-client/{__version__}",
        }
        self._connection: Any
        if parts.scheme == "https":
            self._connection = _OneSegmentTls(
                parts.hostname, parts.port, timeout=TIMEOUT, context=ssl.create_default_context()
            )
        else:
            self._connection = _OneSegment(parts.hostname, parts.port, timeout=TIMEOUT)

    def persist(self, method: str, address: str, body: Any, deadline: float) -> dict[str, Any]:
        """Ask until there is an answer. Raises VerdictError when there is none in time."""
        packed, tries = gzip.compress(_json(body), 1), 0
        while True:
            try:
                return self.request(method, address, packed)
            except _Away as away:
                tries += 1
                pause = min(LONGEST_PAUSE, 0.25 * 2**tries) * random.uniform(0.5, 1.0)
                if time.monotonic() + pause > deadline:
                    raise VerdictError(f"{self.url} cannot be reached: {away}") from None
                time.sleep(pause)

    def request(self, method: str, address: str, packed: bytes) -> dict[str, Any]:
        try:
            self._connection.request(method, self._path + address, packed, self._headers)
            response = self._connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise _Away(f"{type(error).__name__}: {error}") from None
        if response.status in _RETRIED:
            raise _Away(f"it answers {response.status}")
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = {}
        if response.status >= 300 or not isinstance(answer, dict):
            details = "; ".join(
                f"{each.get('where')}: {each.get('message')}" for each in answer.get("errors", ())
            )
            said = " ".join(part for part in (answer.get("error", ""), details) if part)
            raise VerdictError(f"{self.url} answers {response.status}: {said or 'no reason'}")
        return answer

    def close(self) -> None:
        self._connection.close()


class _OneSegment(http.client.HTTPConnection):
    """Sends headers and body in one piece: two pieces may wait 40 ms for each other
    (Nagle's algorithm against delayed acknowledgements).
    """

    _parts: list[bytes] | None = None

    def request(self, *args: Any, **more: Any) -> None:
        self._parts = []
        try:
            super().request(*args, **more)
            parts, self._parts = self._parts, None
            self.send(b"".join(parts))
        finally:
            self._parts = None

    def send(self, data: Any) -> None:
        if self._parts is not None:
            self._parts.append(data)
            return
        super().send(data)

    def connect(self) -> None:
        super().connect()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _OneSegmentTls(_OneSegment, http.client.HTTPSConnection):
    pass


def _parts(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The values of one call, in pieces that fit into a batch."""
    if len(values) <= MAX_POINTS:
        yield values
        return
    items = iter(values.items())
    while part := dict(itertools.islice(items, MAX_POINTS)):
        yield part


def _json(document: Any) -> bytes:
    """JSON, with words for numbers that are not finite."""
    try:
        return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        return json.dumps(_worded(document), allow_nan=False, separators=(",", ":")).encode()


def _worded(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _worded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_worded(each) for each in value]
    return value


def _flat(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Parameters with plain values; what the server does not take becomes text."""
    for key, value in params.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif value is None or isinstance(value, (bool, int, float, str)):
            yield name, value
        else:
            number = None
            with contextlib.suppress(Exception):
                number = value.item()  # of NumPy and torch
            plain = isinstance(number, (bool, int, float, str))
            yield name, number if plain else str(value)


def _say(text: str) -> None:
    print(f"verdict: {text}", file=sys.stderr, flush=True)
