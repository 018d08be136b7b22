from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core import signals
from django.db import close_old_connections, connections, reset_queries
from django.http import HttpResponse

from config.threads import ThreadedHandler

THREADS = 3


@pytest.fixture
def handler() -> Any:
    made = ThreadedHandler(THREADS)
    yield made
    for each in (reset_queries, close_old_connections):
        signals.request_started.connect(each)


async def _get(handler: ThreadedHandler, path: str) -> int:
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": [(b"host", b"localhost")], "server": ("localhost", 80),
        "client": ("127.0.0.1", 1), "scheme": "http", "http_version": "1.1", "root_path": "",
        "asgi": {"version": "3.0"},
    }  # fmt: skip
    client = ApplicationCommunicator(handler, scope)
    await client.send_input({"type": "http.request", "body": b"", "more_body": False})
    answer = await client.receive_output(timeout=120)
    await client.receive_output(timeout=120)
    await client.wait(timeout=120)
    status: int = answer["status"]
    return status


def test_no_more_requests_are_answered_at_once_than_there_are_threads(handler: Any) -> None:
    lock, busy, most = threading.Lock(), 0, 0
    full = threading.Event()

    def answer(request: Any) -> HttpResponse:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
            if busy == THREADS:
                full.set()
        assert full.wait(60)
        with lock:
            busy -= 1
        return HttpResponse(b"", status=204)

    handler._middleware_chain = answer

    async def everybody() -> list[int]:
        return await asyncio.gather(*(_get(handler, "/") for _ in range(40)))

    assert asyncio.run(everybody()) == [204] * 40
    assert most == THREADS


def test_middleware_and_view_run_in_one_thread_of_the_request(handler: Any) -> None:
    seen: list[int] = []
    chain = handler._middleware_chain

    def watched(request: Any) -> Any:
        seen.append(threading.get_ident())
        response = chain(request)
        seen.append(threading.get_ident())
        return response

    handler._middleware_chain = watched
    assert asyncio.run(_get(handler, "/healthz")) == 200
    assert seen[0] == seen[1] != threading.get_ident()


@pytest.mark.django_db(transaction=True)
def test_an_answer_on_its_way_holds_no_connection(
    handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    def asks(request: Any) -> HttpResponse:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT 1")
        return HttpResponse(b"")

    respond = handler._respond

    def watched(request: Any) -> Any:
        response = respond(request)
        held.append(connections["default"].connection is not None)
        return response

    handler._middleware_chain = asks
    handler._respond = watched
    assert asyncio.run(_get(handler, "/")) == 200
    in_memory = (
        connections["default"].vendor == "sqlite" and connections["default"].is_in_memory_db()
    )
    assert held == [in_memory]
