"""How the database is connected to, and that nothing waits for it without a limit."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from psycopg2.extensions import set_wait_callback

from benchmarks._cluster import PostgreSQL
from experiments import database
from tests.services_under_test.redis_server import database_url_of_the_tests

pytestmark = pytest.mark.sql


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="in memory"):
        database.of_url("sqlite://")


def test_a_program_outside_opens_the_database_as_the_server_does() -> None:
    server = settings.DATABASES["default"]
    ours = database.of_url(database_url_of_the_tests())
    assert ours["ENGINE"] == server["ENGINE"]
    expected = dict(server["OPTIONS"])
    if "init_command" in expected:  # the tests themselves do not wait for the disk
        expected["init_command"] = expected["init_command"].replace("OFF", "FULL")
    assert ours["OPTIONS"] == expected


def test_the_query_of_a_url_goes_before_our_options() -> None:
    found = database.of_url("postgresql://host/verdict?connect_timeout=3")
    assert int(found["OPTIONS"]["connect_timeout"]) == 3


def test_behind_a_pooler_nothing_is_kept_in_a_session() -> None:
    found = database.of_url("postgresql://host/verdict?pgbouncer=true")
    assert found["DISABLE_SERVER_SIDE_CURSORS"] and "pgbouncer" not in found["OPTIONS"]
    assert not database.of_url("postgresql://host/verdict")["DISABLE_SERVER_SIDE_CURSORS"]


@pytest.fixture
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """A server of the test's own, for which this process waits a second."""
    server = PostgreSQL(tmp_path_factory.mktemp("pg"))
    database.limit_statements(1.0)
    yield server
    set_wait_callback(None)
    server.resume()
    server.end()


def test_a_server_that_is_stopped_is_given_up_and_serves_again_after(
    impatient: PostgreSQL,
) -> None:
    held = psycopg2.connect(impatient.url)
    cursor = held.cursor()
    cursor.execute("SELECT 1; SELECT 2")
    assert cursor.fetchone() == (2,)
    impatient.stop()
    with pytest.raises(psycopg2.OperationalError, match="no answer in 1 s"):
        cursor.execute("SELECT 3")
    assert held.closed
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(impatient.url)
    impatient.resume()
    again = psycopg2.connect(impatient.url)
    again.cursor().execute("SELECT 4")
    again.close()
