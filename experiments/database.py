"""Database options by URL, with a time limit on every wait."""

from __future__ import annotations

import select
import time
from pathlib import Path
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

    `?pgbouncer=true` is for a PgBouncer in transaction mode.

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
    # PgBouncer gives a connection away at each commit, and cursors of the server with it.
    found["DISABLE_SERVER_SIDE_CURSORS"] = options.pop("pgbouncer", False) in (True, "true")
    # CONN_MAX_AGE stays 0 for workers and commands; config.asgi sets it for the web server.
    if found["ENGINE"] != "django.db.backends.sqlite3":
        found["OPTIONS"] = {**_POSTGRESQL, **options}
        return found
    if found["NAME"] in ("", ":memory:"):
        raise ImproperlyConfigured(
            f"{where}found a database in memory; expected a file such as "
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


def missing_migrations() -> tuple[list[tuple[str, str]], bool]:
    """Migrations of this code that the database lacks, as (app, name), the first one first, and
    whether it has later ones of ours.

    Compares names alone: Django's own way imports every migration.

    Raises:
        DatabaseError, InterfaceError: when the database is away.
    """
    from django.apps import apps
    from django.db import connection
    from django.db.migrations.recorder import MigrationRecorder

    applied = set(MigrationRecorder(connection).applied_migrations())
    there = {
        (app.label, file.stem)
        for app in apps.get_app_configs()
        for file in (Path(app.path) / "migrations").glob("[0-9]*.py")
    }
    newest = max(name for app, name in there if app == "experiments")
    later = any(app == "experiments" and name > newest for app, name in applied - there)
    return sorted(there - applied, key=lambda migration: migration[::-1]), later


def why_unusable() -> str:
    """One line on a database that is away, empty or of another version; "" when it can be used."""
    from django.db import DatabaseError, InterfaceError

    try:
        missing, newer = missing_migrations()
    except (DatabaseError, InterfaceError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"The database is away, DATABASE_URL says where it is: {reason}"
    if ("contenttypes", "0001_initial") in missing:
        return "The database is empty, Verdict has not been started yet: run `verdict up`."
    if missing:
        lacks = "1 migration is" if len(missing) == 1 else f"{len(missing)} migrations are"
        return (
            f"The database is of an older version, {lacks} missing, the first is "
            f"{' '.join(missing[0])}: run `verdict migrate`, or `verdict up`, which does so."
        )
    return "The database is of a newer version of Verdict: update this code." if newer else ""
