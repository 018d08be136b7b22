"""Database connections that one request leaves to the next, in the web server.

Under ASGI every request has a thread of its own, and Django keeps a connection for a thread: so
each request would open one, which costs several times what its queries do. These engines are
Django's own, but what they close goes onto a pile from which the next one is taken.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

IDLE_SECONDS = 60.0
MOST_IDLE = 8
ENGINES = {
    "django.db.backends.postgresql": "config.kept_connections.postgresql",
    "django.db.backends.sqlite3": "config.kept_connections.sqlite",
}
Connection = TypeVar("Connection")


class Pile(Generic[Connection]):
    """Idle connections, the last one first. Its methods may be called by any thread.

    Args:
        is_sound: whether an idle connection can still be used; asked when it is taken.
        close: ends one.
    """

    def __init__(
        self, is_sound: Callable[[Connection], bool], close: Callable[[Connection], object]
    ) -> None:
        self._idle: deque[tuple[float, Connection]] = deque()  # its append and pop are atomic
        self._is_sound = is_sound
        self._close = close

    def take(self) -> Connection | None:
        """An idle connection, None when there is none that can be used."""
        while True:
            try:
                since, connection = self._idle.pop()
            except IndexError:
                return None
            if time.monotonic() - since < IDLE_SECONDS and self._is_sound(connection):
                return connection
            self._close(connection)

    def put(self, connection: Connection) -> None:
        """Keep a connection that holds no transaction."""
        self._idle.append((time.monotonic(), connection))
        while len(self._idle) > MOST_IDLE:
            try:
                self._close(self._idle.popleft()[1])
            except IndexError:
                return
