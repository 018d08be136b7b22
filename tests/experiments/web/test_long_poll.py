from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psutil
import pytest

from experiments.models import ApiToken, Membership
from experiments.team.services import tokens
from experiments.web.long_poll import LongPoll, News, Scope
from tests import cast
from tests.services_under_test.web_server import WebServer
from tests.waiting import PATIENCE

PATH = "/api/v1/projects/digits/champion"


class Log:
    """Stands in for the application: what it answers changes when the log grows."""

    def __init__(self) -> None:
        self.length = 0
        self.looks = 0
        self.refused = 0
        self.broken = False

    def newest(self) -> int:
        if self.broken:
            self.refused += 1
            raise ConnectionError("no database")
        return self.length

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.request"
        self.looks += 1
        headers = [] if self.length else [(b"verdict-unchanged", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"%d" % self.length})


async def _get(log: Log, query: str, *, path: str = PATH, leaves_after: float = 1e9) -> bytes:
    bodies = []

    async def receive() -> dict[str, Any]:
        if not asked:
            asked.append(True)
            return {"type": "http.request", "body": b""}
        await asyncio.sleep(leaves_after)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        bodies.append(message.get("body", b""))

    asked: list[bool] = []
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode()}
    await LongPoll(log, News(log.newest, every=0.01))(scope, receive, send)
    return b"".join(bodies)


async def _until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


async def _grow(log: Log) -> None:
    await _until(lambda: log.looks)
    await asyncio.sleep(0.05)
    log.length += 1


def test_a_client_that_waits_is_answered_when_the_log_grows() -> None:
    async def scene() -> tuple[bytes, None]:
        return await asyncio.gather(_get(log, "wait=60"), _grow(log))

    log = Log()
    assert asyncio.run(scene())[0] == b"1" and log.looks == 2


def test_a_wait_that_is_over_gives_the_answer_as_it_is() -> None:
    log = Log()
    assert asyncio.run(_get(log, "wait=2")) == b"0"
    assert log.looks == 2


@pytest.mark.parametrize("query", ["", "wait=0", "wait=61", "wait=-1", "wait=x", "wait=1&wait=2"])
def test_nothing_else_is_held_back(query: str) -> None:
    log = Log()
    assert asyncio.run(_get(log, query)) == b"0" and log.looks == 1


def test_other_addresses_are_not_held_back() -> None:
    assert asyncio.run(_get(Log(), "wait=30", path="/api/v1/runs")) == b"0"


def test_who_leaves_is_waited_for_no_longer() -> None:
    log = Log()
    assert asyncio.run(_get(log, "wait=30", leaves_after=0.05)) == b""


def test_a_database_that_is_away_for_a_while_ends_no_wait() -> None:
    async def scene() -> bytes:
        waiting = asyncio.create_task(_get(log, "wait=60"))
        await _until(lambda: log.looks)
        log.broken = True
        await _until(lambda: log.refused > 2)
        log.broken = False
        log.length = 1
        return await waiting

    log = Log()
    assert asyncio.run(scene()) == b"1"


def test_a_database_that_is_away_at_first_is_told_by_the_application() -> None:
    log = Log()
    log.broken, log.length = True, 1
    assert asyncio.run(_get(log, "wait=30")) == b"1" and log.looks == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ended", ["the membership", "the token"])
def test_who_may_no_longer_see_the_project_waits_in_vain(
    ended: str, web_server: WebServer, transactional_db: None
) -> None:
    cast.project()
    token, secret = tokens.create(user=cast.person("ben"), project=None, name="deploy")

    def ask() -> int:
        headers = {"Authorization": f"Bearer {secret}"}
        request = urllib.request.Request(f"{web_server.url}{PATH}?wait=60", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            told = json.loads(error.read())
            assert "no champion" not in told["error"], "not even whether there is one"
            return error.code

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(ask)
        deadline = time.monotonic() + 60
        while ApiToken.objects.get().last_used_at is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if ended == "the membership":
            Membership.objects.filter(user__username="ben").delete()
        else:
            tokens.revoke(user=cast.person("ben"), token_id=token.pk)
        cast.decided("wider", "adopt", "It pays.")
        assert waiting.result(timeout=120) == (404 if ended == "the membership" else 401)


@pytest.mark.django_db(transaction=True)
def test_two_hundred_waiting_clients_hold_no_thread(
    web_server: WebServer, transactional_db: None
) -> None:
    cast.project()
    _, secret = tokens.create(user=cast.person("ben"), project=None, name="deploy")
    port = int(web_server.url.rsplit(":", 1)[1])
    ask = (
        f"GET {PATH}?wait=60 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {secret}\r\n\r\n"
    )
    server = psutil.Process(web_server.pid)

    async def client() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ask.encode())
        line = await reader.readline()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        return line

    async def scene() -> tuple[int, list[bytes]]:
        waiting = [asyncio.create_task(client()) for _ in range(200)]
        await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            while len(await asyncio.to_thread(server.net_connections)) < 201:
                await asyncio.sleep(0.1)
        threads = []
        for _ in range(20):
            await asyncio.sleep(0.1)
            threads.append(server.num_threads())
        assert not any(task.done() for task in waiting)
        await asyncio.to_thread(cast.decided, "wider", "adopt", "It pays.")
        return max(threads), await asyncio.gather(*waiting)

    threads, answers = asyncio.run(scene())
    assert set(answers) == {b"HTTP/1.1 200 OK\r\n"}
    assert threads <= 40
