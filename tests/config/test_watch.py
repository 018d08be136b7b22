from __future__ import annotations

import asyncio
import datetime as dt
import json
import threading
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from config.watch import Watch, look
from experiments.models import Delivery, Experiment, PrunedDeliveries, Worker
from experiments.team.services import webhooks
from tests import cast
from tests.services_under_test.receiver import Receiver


async def _nobody(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("the application hears of requests alone")


async def _served(watch: Watch, until: threading.Event) -> list[str]:
    """What the server is told from its start to its end; it ends when `until` is set."""
    told: list[str] = []
    started = False

    async def receive() -> dict[str, Any]:
        nonlocal started
        if not started:
            started = True
            return {"type": "lifespan.startup"}
        assert await asyncio.to_thread(until.wait, 60)
        return {"type": "lifespan.shutdown"}

    async def send(message: Any) -> None:
        told.append(message["type"])

    await watch({"type": "lifespan"}, receive, send)
    return told


def test_a_server_looks_again_and_again_from_its_start_to_its_end() -> None:
    seen: list[threading.Event] = []
    enough = threading.Event()

    def count(closing: threading.Event) -> None:
        seen.append(closing)
        if len(seen) == 1:
            raise RuntimeError("a look that breaks ends no watch")
        if len(seen) == 3:
            enough.set()

    told = asyncio.run(_served(Watch(_nobody, count, every=0.01), enough))
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert len(seen) >= 3 and all(event.is_set() for event in seen)


@pytest.fixture
def stalled(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """An experiment in which nothing has moved for an hour, and who wants to hear of it."""
    monkeypatch.setattr(settings, "WEBHOOK_NETWORKS", ["127.0.0.0/8"])
    webhooks.create(
        access=cast.access("ada", cast.project()),
        kind="json",
        address=receiver.url,
        events=["stalled"],
    )
    then = timezone.now() - dt.timedelta(hours=1)
    Experiment.objects.filter(pk=cast.search("slow").pk).update(active_at=then)
    return receiver


@pytest.mark.django_db
def test_when_the_last_worker_is_dead_the_web_server_says_that_all_stands_still(
    stalled: Receiver,
) -> None:
    now = timezone.now()
    dead = now - dt.timedelta(seconds=settings.STALE_AFTER_SECONDS + 1)
    Worker.objects.create(
        name="n", host="n", pid=1, queues="cpu", started_at=dead, heartbeat_at=dead
    )
    for _ in range(2):
        look(threading.Event())
    [(headers, body)] = stalled.got
    assert headers["Verdict-Event"] == "stalled"
    assert "no live worker serves the queue" in json.loads(body)["text"]


@pytest.mark.django_db
def test_while_a_worker_lives_it_is_left_to_the_worker(stalled: Receiver) -> None:
    now = timezone.now()
    Worker.objects.create(
        name="n", host="n", pid=1, queues="other", started_at=now, heartbeat_at=now
    )
    look(threading.Event())
    assert not stalled.got and not Delivery.objects.exists()


@pytest.mark.django_db
def test_old_deliveries_go_and_are_counted(
    stalled: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(threading.Event())
    long_ago = timezone.now() - dt.timedelta(days=31)
    Delivery.objects.update(tried_at=long_ago)
    monkeypatch.setattr(settings, "DELIVERIES_KEEP_DAYS", 0)
    look(threading.Event())
    assert Delivery.objects.count() == 1, "0 keeps them for ever"
    monkeypatch.setattr(settings, "DELIVERIES_KEEP_DAYS", 30)
    look(threading.Event())
    assert not Delivery.objects.exists()
    assert PrunedDeliveries.objects.get().sent == 1
    look(threading.Event())
    assert len(stalled.got) == 1, "what was told is never told again"
