from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core import signals
from django.db import close_old_connections, connection, connections, reset_queries
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from config.threads import Busy, Pool, Pools, ThreadedHandler

THREADS = 16
PAGE, LIVE, FILE = "/projects/", "/workers/live/", "/file/"


@pytest.fixture
def handler() -> Iterator[ThreadedHandler]:
    made = ThreadedHandler(Pools.of(THREADS))
    yield made
    for receiver in (reset_queries, close_old_connections):
        signals.request_started.connect(receiver)


def _client(handler: ThreadedHandler, path: str) -> ApplicationCommunicator:
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": [(b"host", b"localhost")], "server": ("localhost", 80),
        "client": ("127.0.0.1", 1), "scheme": "http", "http_version": "1.1", "root_path": "",
        "asgi": {"version": "3.0"},
    }  # fmt: skip
    return ApplicationCommunicator(handler, scope)


async def _get(handler: ThreadedHandler, path: str) -> int:
    client = _client(handler, path)
    await client.send_input({"type": "http.request", "body": b"", "more_body": False})
    answer = await client.receive_output(timeout=120)
    await client.receive_output(timeout=120)
    await client.wait(timeout=120)
    status: int = answer["status"]
    return status


def test_the_pools_have_as_many_threads_as_there_are_and_each_has_one() -> None:
    for threads in (8, 16, 33, 1000):
        pools = Pools.of(threads)
        kinds = (pools.probes, pools.polls, pools.downloads, pools.programs, pools.pages)
        assert sum(kind.threads for kind in kinds) == threads
        assert all(kind.threads for kind in kinds)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/readyz", "probes"),
        ("/metrics", "probes"),
        ("/projects/digits/experiments/s/live/", "polls"),
        ("/under-way/", "polls"),
        ("/api/v1/projects/digits/champion", "polls"),
        ("/api/v1/projects/digits/decisions", "polls"),
        ("/api/v1/projects/digits/decisions.jsonl", "programs"),
        ("/api/v1/runs", "programs"),
        ("/login/", "pages"),
    ],
)
def test_each_kind_of_request_has_its_own_threads(path: str, kind: str) -> None:
    pools = Pools.of(THREADS)
    assert pools.for_path(path) is getattr(pools, kind)


def test_while_all_pages_hang_a_probe_and_a_poll_are_answered(handler: Any) -> None:
    go_on, hanging = threading.Event(), threading.Semaphore(0)

    def answer(request: HttpRequest) -> HttpResponse:
        if request.path == PAGE:
            hanging.release()
            assert go_on.wait(120)
        return HttpResponse(b"", status=204)

    handler._middleware_chain = answer

    async def everybody() -> list[int]:
        pages = [asyncio.create_task(_get(handler, PAGE)) for _ in range(40)]
        for _ in range(handler._pools.pages.threads):
            await asyncio.to_thread(hanging.acquire, timeout=120)
        assert await _get(handler, "/healthz") == 204
        assert await _get(handler, "/readyz") == 204
        assert await _get(handler, LIVE) == 204
        go_on.set()
        return await asyncio.gather(*pages)

    assert asyncio.run(everybody()) == [204] * 40


def test_two_hundred_requests_at_once_take_no_more_threads_than_there_are(handler: Any) -> None:
    seen: set[int] = set()  # each keeps one connection to the database at most

    def answer(request: HttpRequest) -> HttpResponse:
        seen.add(threading.get_ident())
        time.sleep(0.002)
        return HttpResponse(b"", status=204)

    handler._middleware_chain = answer
    paths = (PAGE, LIVE, "/readyz", "/api/v1/runs")

    async def everybody() -> list[int]:
        return await asyncio.gather(*(_get(handler, paths[n % 4]) for n in range(200)))

    assert asyncio.run(everybody()) == [204] * 200
    assert len(seen) <= THREADS


def test_a_request_that_finds_no_thread_in_time_is_told_to_come_again(handler: Any) -> None:
    go_on, hanging = threading.Event(), threading.Semaphore(0)

    def answer(request: HttpRequest) -> HttpResponse:
        hanging.release()
        assert go_on.wait(120)
        return HttpResponse(b"", status=204)

    handler._middleware_chain = answer
    handler._pools.pages._seconds = 0.05

    async def everybody() -> tuple[int, list[int]]:
        threads = handler._pools.pages.threads
        first = [asyncio.create_task(_get(handler, PAGE)) for _ in range(threads)]
        for _ in range(threads):
            await asyncio.to_thread(hanging.acquire, timeout=120)
        late = await _get(handler, PAGE)
        go_on.set()
        return late, await asyncio.gather(*first)

    late, first = asyncio.run(everybody())
    assert late == 503 and set(first) == {204}


def test_middleware_and_view_run_in_one_thread_of_the_request(handler: Any) -> None:
    seen: list[int] = []
    chain = handler._middleware_chain

    def watched(request: Any) -> Any:
        seen.append(threading.get_ident())
        response = chain(request)
        seen.append(threading.get_ident())
        return response

    handler._middleware_chain = watched
    assert asyncio.run(_get(handler, "/no-such-page")) == 404
    assert seen[0] == seen[1] != threading.get_ident()


def test_clients_that_do_not_read_their_downloads_hold_no_thread(handler: Any) -> None:
    def answer(request: HttpRequest) -> Any:
        return StreamingHttpResponse(b"x" * 100_000 for _ in range(50))

    handler._middleware_chain = answer

    async def unread_and_read() -> int:
        taken, leave = 0, asyncio.Event()

        def receiver() -> Any:
            messages = [{"type": "http.request", "body": b"", "more_body": False}]

            async def receive() -> dict[str, Any]:
                if messages:
                    return messages.pop()
                await leave.wait()
                return {"type": "http.disconnect"}

            return receive

        async def stuck(message: Any) -> None:
            nonlocal taken
            taken += 1
            await asyncio.Event().wait()

        tasks = []
        for number in range(30):  # of as many addresses
            scope = {**_client(handler, FILE).scope, "client": (f"127.0.1.{number}", 1)}
            tasks.append(asyncio.create_task(handler(scope, receiver(), stuck)))
            while taken <= number:
                await asyncio.sleep(0.01)
        client = _client(handler, FILE)
        await client.send_input({"type": "http.request", "body": b"", "more_body": False})
        read, more = 0, True
        while more:
            message = await client.receive_output(timeout=120)
            read += len(message.get("body", b""))
            more = message["type"] == "http.response.start" or message.get("more_body", False)
        leave.set()
        await asyncio.gather(*tasks)
        return read

    assert asyncio.run(unread_and_read()) == 50 * 100_000


def test_work_that_was_given_up_before_it_began_is_never_done() -> None:
    pool, go_on, done = Pool("one", 1, seconds=0.05), threading.Event(), []

    async def busy() -> None:
        first = asyncio.create_task(pool.run(go_on.wait, 120))
        await asyncio.sleep(0.05)
        with pytest.raises(Busy):
            await pool.run(done.append, 1)
        left = asyncio.create_task(pool.run(done.append, 2))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        go_on.set()
        assert await first
        await pool.run(done.append, 3)

    asyncio.run(busy())
    assert done == [3]


@pytest.mark.django_db(transaction=True)
def test_a_thread_hands_its_connection_to_the_next_request_while_it_is_sound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 60)
    monkeypatch.setitem(connection.settings_dict, "CONN_HEALTH_CHECKS", True)
    pool = Pool("one", 1, seconds=60)

    def used() -> Any:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT 1")
        return connections["default"].connection

    def breaks_off() -> Any:
        raw = used()
        connections["default"].set_autocommit(False)
        with connections["default"].cursor() as cursor:
            cursor.execute("INSERT INTO auth_group (name) VALUES ('half')")
        return raw

    def groups() -> int:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM auth_group WHERE name = 'half'")
            return int(cursor.fetchone()[0])

    async def one_after_another() -> None:
        first = await pool.run(used)
        assert await pool.run(used) is first
        assert await pool.run(breaks_off) is first
        assert await pool.run(used) is not first
        assert await pool.run(groups) == 0
        await pool.run(connections.close_all)

    asyncio.run(one_after_another())


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connections["default"].vendor != "postgresql", reason="a file ends no session")
def test_a_connection_that_the_server_has_ended_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 60)
    monkeypatch.setitem(connection.settings_dict, "CONN_HEALTH_CHECKS", True)
    pool = Pool("one", 1, seconds=60)

    def session() -> int:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return int(cursor.fetchone()[0])

    def end(number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [number])

    async def one_after_another() -> None:
        first = await pool.run(session)
        await asyncio.get_running_loop().run_in_executor(ThreadPoolExecutor(1), end, first)
        assert await pool.run(session) != first
        await pool.run(connections.close_all)

    asyncio.run(one_after_another())
