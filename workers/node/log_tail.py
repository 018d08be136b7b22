"""Last lines of a training process's output, kept outside it so that they survive a crash."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from multiprocessing.connection import Connection

MAX_BYTES = 64_000
_CHUNK = 65_536
_CHUNKS = 32
_LOOK_SECONDS = 0.5


class LogTail:
    """Reads a process's standard output and keeps its end.

    A thread reads continuously: printing must not wait for a supervisor that waits for the
    database.
    """

    def __init__(self, reader: Connection, limit: int = MAX_BYTES) -> None:
        self._reader = reader
        self._limit = limit
        self._tail = bytearray()
        self._cut = False
        self._lock = threading.Lock()
        self._open = True
        os.set_blocking(reader.fileno(), False)
        self._thread = threading.Thread(target=self._run, name="log tail", daemon=True)
        self._thread.start()

    def add(self, text: str) -> None:
        """Append a line of the supervisor's own."""
        self._drain()
        with self._lock:
            self._tail += text.encode()

    def text(self) -> str:
        """The last `limit` bytes printed; begins with a whole line when some were cut off."""
        self._drain()
        with self._lock:
            tail, cut = bytes(self._tail), self._cut
        if cut:
            tail = tail[tail.find(b"\n") + 1 :]
        return tail.decode(errors="replace").replace("\0", "\ufffd")

    def close(self) -> None:
        self._drain()
        self._open = False
        self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._reader.fileno(), select.POLLIN)
        # Not until the end of the stream alone: a grandchild may hold it open.
        while self._open:
            if poll.poll(_LOOK_SECONDS * 1000) and not self._drain():
                return

    def _drain(self) -> bool:
        """Read what is available without waiting; False at the end of the stream."""
        with self._lock, contextlib.suppress(BlockingIOError):
            for _ in range(_CHUNKS):  # a flood must not hold the lock for ever
                chunk = os.read(self._reader.fileno(), _CHUNK)
                if not chunk:
                    return False
                self._tail += chunk
                if len(self._tail) > self._limit:
                    del self._tail[: -self._limit]
                    self._cut = True
        return True
