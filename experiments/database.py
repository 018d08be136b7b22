"""Database options by URL, with a time limit on every wait."""

from __future__ import annotations

import select
import time
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

# A server whose machine or network is gone says nothing. The kernel ends such a connection after
# about half a minute; see `limit_statements` for one that is there and does not answer.
_POSTGRESQL = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_SQLITE = {
    # A writer waits its turn at BEGIN; the deferred default fails in the middle instead.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON",
}


def of_url(url: str, name: str = "") -> dict[str, Any]:
    """Django's settings of a database; what the URL's query says goes before our options.

    Raises:
        ImproperlyConfigured: for a URL that names no database that several processes can share;
            `name` says where it came from.
    """
    where = f"{name}: " if name else ""
    try:
        found: dict[str, Any] = dict(dj_database_url.parse(url))
    except ValueError as error:
        raise ImproperlyConfigured(f"{where}{error}") from None
    options = found.get("OPTIONS", {})
    # CONN_MAX_AGE stays 0 for workers and commands; config.asgi sets it for the web server.
    if found["ENGINE"] != "django.db.backends.sqlite3":
        found["OPTIONS"] = {**_POSTGRESQL, **options}
        return found
    if found["NAME"] in ("", ":memory:"):
        raise ImproperlyConfigured(
            f"{where}found a database in memory; want a file such as "
            "sqlite:////path/to/verdict.sqlite3, because several processes share it"
        )
    found["OPTIONS"] = {**_SQLITE, **options}
    return found


def limit_statements(seconds: float) -> None:
    """Give up on every statement and connection of this process that PostgreSQL does not answer
    within so many seconds; such a connection is closed, and the error is an OperationalError.

    A stopped server keeps its sockets open, so neither it nor the kernel ever ends the wait.
    """
    import psycopg2
    from psycopg2.extensions import POLL_OK, POLL_READ, set_wait_callback

    def wait(connection: Any) -> None:
        until = time.monotonic() + seconds
        while (state := connection.poll()) != POLL_OK:
            event = select.POLLIN if state == POLL_READ else select.POLLOUT
            waiting = select.poll()
            waiting.register(connection.fileno(), event)
            left = until - time.monotonic()
            if left <= 0 or not waiting.poll(1000 * left):
                raise psycopg2.OperationalError(f"the database gave no answer in {seconds:g} s")

    set_wait_callback(wait)
