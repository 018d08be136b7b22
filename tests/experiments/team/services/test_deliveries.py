from __future__ import annotations

import datetime as dt
import threading

import pytest
from django.db import connections
from django.utils import timezone

from experiments.models import Delivery, Membership
from experiments.team.services import deliveries, messages, webhooks
from experiments.team.services.deliveries import LEASE, MOST_TRIES, Answer, Parcel, wait_after
from tests import cast

SENT = Answer(True, "thanks", 200)
BROKEN = Answer(False, "no\x00 luck", 500)


def _announced() -> Delivery:
    project = cast.project()
    webhooks.create(
        access=cast.access("ada", project),
        kind="json",
        address="https://hooks.example.org/x",
        events=["decided"],
    )
    messages.announce(project=project, kind="decided", key="k", text="t", path="/")
    return Delivery.objects.get()


def _make_due() -> None:
    Delivery.objects.update(due_at=timezone.now() - dt.timedelta(seconds=1))


def _claimed() -> Parcel:
    parcel = deliveries.claim()
    assert parcel is not None
    return parcel


def test_waits_grow_fourfold_up_to_six_hours() -> None:
    waits = [wait_after(tries).total_seconds() for tries in range(1, MOST_TRIES)]
    assert waits == [10, 40, 160, 640, 2560, 10240, 21600]


@pytest.mark.django_db
def test_a_claimed_delivery_is_nobody_elses_while_it_is_sent() -> None:
    _announced()
    assert deliveries.any_due()
    assert _claimed().attempt == 1
    assert deliveries.claim() is None and not deliveries.any_due()


@pytest.mark.django_db
def test_what_was_sent_is_never_due_again() -> None:
    row = _announced()
    deliveries.record(parcel=_claimed(), answer=SENT)
    _make_due()
    row.refresh_from_db()
    assert (row.state, row.status, row.answer, row.attempts) == ("sent", 200, "thanks", 1)
    assert deliveries.claim() is None


@pytest.mark.django_db
def test_a_failure_waits_longer_each_time_and_is_given_up_at_last() -> None:
    row = _announced()
    for tries in range(1, MOST_TRIES + 1):
        began = timezone.now()
        deliveries.record(parcel=_claimed(), answer=BROKEN)
        row.refresh_from_db()
        assert row.attempts == tries and row.answer == "no\ufffd luck" and row.status == 500
        if tries < MOST_TRIES:
            assert row.state == "waiting" and row.due_at >= began + wait_after(tries)
        _make_due()
    assert row.state == "failed" and deliveries.claim() is None


@pytest.mark.django_db
def test_what_is_refused_is_not_tried_again() -> None:
    row = _announced()
    deliveries.record(parcel=_claimed(), answer=Answer(False, "Refused.", final=True))
    row.refresh_from_db()
    assert row.state == "failed" and row.attempts == 1


@pytest.mark.django_db
def test_a_sender_that_died_loses_nothing_and_its_late_word_counts_no_more() -> None:
    row = _announced()
    dead = _claimed()
    row.refresh_from_db()
    assert row.due_at > timezone.now() + LEASE / 2
    _make_due()  # the lease has run out
    second = _claimed()
    deliveries.record(parcel=dead, answer=BROKEN)
    row.refresh_from_db()
    assert row.answer == "" and row.state == "waiting"
    deliveries.record(parcel=second, answer=SENT)
    row.refresh_from_db()
    assert row.state == "sent" and row.attempts == 2


@pytest.mark.django_db
def test_one_on_which_every_sender_dies_is_given_up() -> None:
    row = _announced()
    for _ in range(MOST_TRIES):
        _claimed()
        _make_due()
    assert deliveries.claim() is None
    row.refresh_from_db()
    assert row.state == "failed" and "died" in row.answer


@pytest.mark.django_db
def test_of_a_long_answer_500_characters_are_kept() -> None:
    row = _announced()
    deliveries.record(parcel=_claimed(), answer=Answer(False, "x" * 4000, 500))
    row.refresh_from_db()
    assert row.answer == "x" * 500


@pytest.mark.django_db
def test_who_left_meanwhile_gets_no_mail() -> None:
    project = cast.project()
    ben = cast.person("ben")
    ben.email = "ben@example.org"
    ben.save()
    messages.choose(access=cast.access(ben, project), events=["decided"])
    messages.announce(project=project, kind="decided", key="k", text="t", path="/")
    Membership.objects.filter(user=ben).delete()
    assert "no longer a member" in _claimed().refused


@pytest.mark.django_db(transaction=True)
def test_of_many_senders_one_takes_a_delivery() -> None:
    _announced()
    start = threading.Barrier(4)
    taken: list[Parcel] = []

    def sender() -> None:
        try:
            start.wait()
            found = deliveries.claim()
            if found is not None:
                taken.append(found)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=sender) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [delivery.attempt for delivery in taken] == [1]
