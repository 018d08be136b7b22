from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable

import pytest
from django.conf import settings
from django.core import mail
from django.core.management import call_command

from experiments import dispatch
from experiments.models import Delivery
from experiments.team.services import deliveries, messages, webhooks
from tests import cast, waiting
from tests.services_under_test.receiver import Receiver
from tests.services_under_test.worker import WorkerProcess, wait_until
from workers.delivery.deliveries import Deliverer, send_due


@pytest.fixture(autouse=True)
def allow_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "WEBHOOK_NETWORKS", ["127.0.0.0/8"])


def _hook(receiver: Receiver, kind: str = "json") -> str:
    project = cast.project()
    _, secret = webhooks.create(
        access=cast.access("ada", project),
        kind=kind,
        address=receiver.url,
        events=["decided"],
    )
    return secret


def _adopt() -> str:
    held = cast.repeated(cast.finished_search("first", trials_per_arm=2), looks=(10,))
    return cast.decide(held, "adopt").hash


@pytest.mark.django_db
def test_a_decision_reaches_its_receiver_signed(receiver: Receiver) -> None:
    secret = _hook(receiver)
    newest = _adopt()
    assert send_due() == 1
    headers, body = receiver.got[0]
    signed = headers["Verdict-Timestamp"].encode() + b"." + body
    expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["Verdict-Signature"] == f"sha256={expected}"
    told = json.loads(body)
    assert headers["Verdict-Event"] == told["event"] == "decided"
    assert told["head"] == {"count": 1, "hash": newest} and told["id"] > 0
    row = Delivery.objects.get()
    assert (row.state, row.status, row.answer) == ("sent", 200, "thanks")


@pytest.mark.django_db
def test_slack_gets_its_own_format(receiver: Receiver) -> None:
    _hook(receiver, "slack")
    _adopt()
    send_due()
    told = json.loads(receiver.got[0][1])
    assert set(told) == {"text", "blocks"} and "ada decided on first: adopt" in told["text"]


@pytest.mark.django_db
def test_what_a_receiver_could_not_take_it_gets_later_with_the_same_id(
    receiver: Receiver,
) -> None:
    receiver.answers = [503, 200]
    _hook(receiver)
    _adopt()
    assert send_due() == 1  # and no second attempt before its time
    assert Delivery.objects.get().state == "waiting"
    Delivery.objects.update(due_at="2026-01-01T00:00:00Z")
    assert send_due() == 1
    row = Delivery.objects.get()
    assert (row.state, row.attempts) == ("sent", 2)
    first, second = (json.loads(body) for _, body in receiver.got)
    assert first == second


@pytest.mark.django_db
def test_a_network_that_is_allowed_no_more_is_refused_for_good(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hook(receiver)
    _adopt()
    monkeypatch.setattr(settings, "WEBHOOK_NETWORKS", [])
    send_due()
    row = Delivery.objects.get()
    assert row.state == "failed" and "not a public address" in row.answer and receiver.got == []


@pytest.mark.django_db
def test_a_member_gets_the_mail_that_was_asked_for() -> None:
    project = cast.project()
    ben = cast.person("ben")
    ben.email = "ben@example.org"
    ben.save()
    messages.choose(access=cast.access(ben, project), events=["decided"])
    newest = _adopt()
    send_due()
    [letter] = mail.outbox
    assert letter.to == ["ben@example.org"]
    assert letter.subject.startswith("[digits] ada decided on first: adopt")
    assert newest in letter.body and "It pays." in letter.body
    assert "/account/messages/" in letter.body
    assert Delivery.objects.get().state == "sent"


@pytest.mark.django_db
def test_a_mail_server_that_is_away_is_asked_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
    monkeypatch.setattr(settings, "EMAIL_HOST", "127.0.0.1")
    monkeypatch.setattr(settings, "EMAIL_PORT", 1)
    project = cast.project()
    ben = cast.person("ben")
    ben.email = "ben@example.org"
    ben.save()
    messages.choose(access=cast.access(ben, project), events=["decided"])
    _adopt()
    send_due()
    row = Delivery.objects.get()
    assert row.state == "waiting" and "refused" in row.answer


@pytest.mark.django_db
def test_the_command_looks_and_sends_without_a_worker(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    _hook(receiver)
    _adopt()
    call_command("deliver")
    assert "1 sent or tried" in capsys.readouterr().out and len(receiver.got) == 1


@pytest.mark.django_db(transaction=True)
def test_the_threads_send_when_they_are_woken_and_end(receiver: Receiver) -> None:
    _hook(receiver)
    _adopt()
    deliverer = Deliverer()
    try:
        deliverer.poll()
        waiting.wait_until(lambda: Delivery.objects.get().state == "sent")
    finally:
        deliverer.close()
    assert len(receiver.got) == 1 and deliveries.claim() is None


@pytest.mark.django_db(transaction=True)
def test_a_worker_node_sends_what_lies_in_the_database(
    receiver: Receiver,
    start_worker: Callable[..., WorkerProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The decision was made while no worker lived, and the message on the queue is lost."""
    monkeypatch.setattr(dispatch, "deliver", lambda queue: None)
    secret = _hook(receiver)
    _adopt()
    worker = start_worker(slots=1, WEBHOOK_NETWORKS="127.0.0.0/8")
    wait_until(lambda: Delivery.objects.get().state == "sent", worker=worker)
    headers, body = receiver.got[0]
    signed = headers["Verdict-Timestamp"].encode() + b"." + body
    expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["Verdict-Signature"] == f"sha256={expected}" and len(receiver.got) == 1
