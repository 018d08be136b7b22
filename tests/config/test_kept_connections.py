from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections
from django.db.utils import load_backend

from config import kept_connections
from config.kept_connections import ENGINES, Pile

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def request_thread() -> Iterator[Callable[[Callable[[Any], Any]], Any]]:
    """Does something with a connection as the web server would: in a thread of its own."""
    settings = connection.settings_dict
    backend: Any = load_backend(ENGINES[settings["ENGINE"]])
    made: list[Any] = []

    def request(work: Callable[[Any], Any]) -> Any:
        answers = []

        def answer() -> None:
            wrapper = backend.DatabaseWrapper({**settings}, "default")
            wrapper.inc_thread_sharing()
            made.append(wrapper)
            try:
                answers.append(work(wrapper))
            finally:
                wrapper.close()

        thread = threading.Thread(target=answer)
        thread.start()
        thread.join()
        return answers[0]

    yield request
    while (left := made[0]._pile(*_key(made[0])).take()) is not None:
        left.close()


def _key(wrapper: Any) -> tuple[Any, ...]:
    return (wrapper.get_connection_params(),) if wrapper.vendor == "postgresql" else ()


def _raw(wrapper: Any) -> Any:
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    return wrapper.connection


def test_one_request_leaves_its_connection_to_the_next(request_thread: Any) -> None:
    assert request_thread(_raw) is request_thread(_raw)


def test_what_a_request_did_not_commit_is_gone(request_thread: Any) -> None:
    def breaks_off(wrapper: Any) -> Any:
        wrapper.set_autocommit(False)
        with wrapper.cursor() as cursor:
            cursor.execute("INSERT INTO auth_group (name) VALUES ('half')")
        return wrapper.connection

    def count(wrapper: Any) -> Any:
        assert wrapper.get_autocommit()
        with wrapper.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM auth_group WHERE name = 'half'")
            return wrapper.connection, cursor.fetchone()[0]

    first = request_thread(breaks_off)
    assert request_thread(count) == (first, 0)


def test_a_connection_that_failed_is_not_used_again(request_thread: Any) -> None:
    def fails(wrapper: Any) -> Any:
        raw = _raw(wrapper)
        with contextlib.suppress(DatabaseError), wrapper.wrap_database_errors:
            wrapper.cursor().execute("SELECT nothing FROM nowhere")
        return raw

    assert request_thread(fails) is not request_thread(_raw)


@pytest.mark.skipif(connections["default"].vendor != "postgresql", reason="a file says no goodbye")
def test_a_connection_that_the_server_has_ended_is_not_used_again(request_thread: Any) -> None:
    def pid(wrapper: Any) -> Any:
        raw = _raw(wrapper)
        return raw.info.backend_pid

    first = request_thread(pid)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
    assert request_thread(pid) != first


def test_old_connections_and_those_too_many_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []
    pile = Pile[int](lambda each: True, closed.append)
    for each in range(kept_connections.MOST_IDLE + 2):
        pile.put(each)
    assert closed == [0, 1]
    assert pile.take() == kept_connections.MOST_IDLE + 1
    monkeypatch.setattr(kept_connections, "IDLE_SECONDS", 0.0)
    assert pile.take() is None
    assert len(closed) == kept_connections.MOST_IDLE + 1
