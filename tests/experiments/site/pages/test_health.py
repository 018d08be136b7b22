from __future__ import annotations

import json

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.test import Client
from kombu import Connection

from experiments import dispatch
from experiments.site.pages import health
from tests import cast
from tests.services_under_test.redis_server import RedisServer

NOWHERE = "redis://:geheim@127.0.0.1:1/0"


def test_a_process_that_answers_says_ok_without_asking_the_database(client: Client) -> None:
    answer = client.get("/healthz")  # no database mark: a query would raise
    assert (answer.status_code, answer.content) == (200, b"ok\n")


def test_probes_are_answered_whatever_the_host_header_and_without_tls(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "ALLOWED_HOSTS", ["verdict.example.org"])
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", True)
    assert client.get("/healthz", headers={"host": "10.1.2.3:8000"}).status_code == 200


def test_probes_only_read(client: Client) -> None:
    assert client.post("/healthz").status_code == 405


@pytest.mark.django_db
def test_ready_when_database_and_redis_answer(client: Client, redis_server: RedisServer) -> None:
    answer = client.get("/readyz")
    assert answer.json() == {"database": "ok", "redis": "ok", "decisions": "ok"}
    assert answer.status_code == 200


@pytest.mark.django_db
def test_not_ready_names_the_redis_that_is_away_and_no_secret(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch.task_app(), "connection_for_write", lambda: Connection(NOWHERE))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert json.loads(answer.content) == {"database": "ok", "redis": "away", "decisions": "ok"}


@pytest.mark.django_db
def test_not_ready_names_the_database_that_is_away(
    client: Client, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise OperationalError('password authentication failed for user "verdict"')

    monkeypatch.setattr(connection, "cursor", away)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert json.loads(answer.content) == {"database": "away", "redis": "ok"}


@pytest.mark.django_db
def test_metrics_count_what_there_is(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "METRICS_NETWORKS", ["127.0.0.1"])
    cast.project()
    cast.running_search(done=1)
    text = client.get("/metrics").content.decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(lines['verdict_trials{state="complete"}']) > 0
    assert lines['verdict_workers{state="alive"}'] == "0.0"
    assert "verdict_queue_depth" in text and "verdict_queue_oldest_waiting_seconds" in text


@pytest.mark.django_db
def test_metrics_are_closed_unless_somebody_opens_them(client: Client) -> None:
    assert client.get("/metrics", REMOTE_ADDR="127.0.0.1").status_code == 403


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "proxied", "status"),
    [
        ("127.0.0.1", "", 200),
        ("10.20.3.4", "", 200),
        ("::1", "", 403),
        ("10.0.0.9", "", 403),
        ("", "", 403),
        ("127.0.0.1", "x-forwarded-for", 403),
        ("127.0.0.1", "x-real-ip", 403),
        ("127.0.0.1", "forwarded", 403),
        ("127.0.0.1", "via", 403),
    ],
)
def test_metrics_are_for_listed_networks_and_not_for_a_proxy_in_them(
    client: Client, monkeypatch: pytest.MonkeyPatch, address: str, proxied: str, status: int
) -> None:
    monkeypatch.setattr(settings, "METRICS_NETWORKS", ["127.0.0.1", "10.20.0.0/16"])
    headers = {proxied: "10.20.3.4"} if proxied else {}
    assert client.get("/metrics", headers=headers, REMOTE_ADDR=address).status_code == status


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sent", "status"), [("Bearer s3cret", 200), ("Bearer other", 403), ("s3cret", 403), ("", 403)]
)
def test_with_a_token_metrics_are_for_whoever_sends_it(
    client: Client, monkeypatch: pytest.MonkeyPatch, sent: str, status: int
) -> None:
    monkeypatch.setattr(settings, "METRICS_TOKEN", "s3cret")
    answer = client.get("/metrics", headers={"authorization": sent}, REMOTE_ADDR="127.0.0.1")
    assert answer.status_code == status
    assert b"s3cret" not in answer.content


@pytest.mark.django_db
def test_metrics_without_a_database_are_503(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> bytes:
        raise OperationalError("gone")

    monkeypatch.setattr(health.prometheus, "exposition", away)
    monkeypatch.setattr(settings, "METRICS_NETWORKS", ["127.0.0.1"])
    assert client.get("/metrics").status_code == 503
