from __future__ import annotations

import datetime as dt

import pytest
from django.db.models import F

from experiments.models import CountedAttempt
from experiments.team.services import throttle
from experiments.team.services.throttle import Subject, TooMany

pytestmark = pytest.mark.django_db

ADA = Subject("login name", "ada", 3)
PLACE = Subject("login address", "192.0.2.7", 5)


def later(minutes: float) -> None:
    """Let so much time go by for what was counted so far."""
    CountedAttempt.objects.update(at=F("at") - dt.timedelta(minutes=minutes))


def fail(times: int, *subjects: Subject) -> None:
    for _ in range(times):
        throttle.count(subjects)


def test_after_the_last_allowed_attempt_nothing_is_tried() -> None:
    fail(3, ADA)
    with pytest.raises(TooMany) as refused:
        throttle.count([ADA])
    assert 0 < refused.value.seconds <= 900
    assert "15 minutes" in refused.value.message


def test_it_works_again_after_a_quarter_of_an_hour_however_often_it_was_tried() -> None:
    fail(3, ADA)
    for _ in range(20):
        later(0.5)
        with pytest.raises(TooMany):
            throttle.count([ADA])
    later(5.1)
    throttle.count([ADA])


def test_an_address_is_counted_over_all_names() -> None:
    for number in range(5):
        throttle.count([Subject("login name", f"name {number}", 3), PLACE])
    with pytest.raises(TooMany):
        throttle.count([Subject("login name", "another", 3), PLACE])
    throttle.count([Subject("login name", "another", 3)])


def test_a_success_forgives_the_name_but_the_address_only_that_attempt() -> None:
    fail(2, ADA, PLACE)
    throttle.forgive(throttle.count([ADA, PLACE]))
    assert CountedAttempt.objects.filter(subject=ADA.digest).count() == 0
    assert CountedAttempt.objects.filter(subject=PLACE.digest).count() == 2


def test_a_browser_that_is_known_is_not_locked_by_strangers() -> None:
    stranger = throttle.login_subjects("ada", "192.0.2.7", None)
    known = throttle.login_subjects("ada", "198.51.100.4", "mark")
    for _ in range(stranger[0].most):
        throttle.count(stranger)
    with pytest.raises(TooMany):
        throttle.count(throttle.login_subjects("ada", "203.0.113.9", None))
    throttle.count(known)


def test_names_are_not_stored() -> None:
    throttle.count([Subject("login name", "zoe-quist", 3)])
    assert "zoe" not in CountedAttempt.objects.get().subject


def test_what_is_too_old_is_cleared_away() -> None:
    fail(2, PLACE)
    later(16)
    throttle.count([ADA])
    assert CountedAttempt.objects.count() == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
    ],
)
def test_a_subscriber_counts_as_one_address(address: str, network: str) -> None:
    assert throttle.network_of(address) == network
