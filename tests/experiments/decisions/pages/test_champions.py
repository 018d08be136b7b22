from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from experiments.models import Decision
from tests import cast

pytestmark = pytest.mark.django_db

PAGE = "/projects/digits/champions/"


def _read(client: Client, name: str = "ada") -> str:
    client.force_login(cast.person(name))
    answer = client.get(PAGE)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture(scope="module")
def two_champions(module_db: None) -> None:
    cast.project(targets=["production", "staging"])
    cast.decided("wider", "adopt", "Twice the width pays.")
    first = Decision.objects.get()
    held = cast.repeated(cast.finished_search("deeper"), looks=(10,))
    held.baseline = first.candidate
    held.save(update_fields=["baseline"])
    cast.decide(held, "adopt")


@pytest.fixture
def reverted(client: Client, two_champions: None) -> str:
    """What the page says after the second champion was taken back by a press of the button."""
    text = _read(client)
    assert "Revert production to 1" in text and "Revert production to 2" not in text
    sent = {"target": "production", "to": "1", "current": "2", "reason": "Latency."}
    answer = client.post(f"{PAGE}revert/", sent)
    assert answer.headers["Location"] == "/projects/digits/decisions/3/"
    assert "Latency." in client.get(answer.headers["Location"]).content.decode()
    return _read(client)


def test_the_page_shows_each_champion_with_what_it_changed(reverted: str) -> None:
    assert "back to 1" in reverted and "wider" in reverted and "deeper" in reverted
    assert "label_smoothing" in reverted and "0 → 0.1" in reverted
    assert "Nothing was adopted for staging yet." in reverted


def test_only_the_newest_champion_is_current_and_each_shows_its_spread(reverted: str) -> None:
    assert reverted.count(">current<") == 1
    assert reverted.count("standard deviation over") == 3


def test_a_stale_page_reverts_nothing(client: Client, reverted: str) -> None:
    sent = {"target": "production", "to": "1", "current": "2", "reason": "Again."}
    answer = client.post(f"{PAGE}revert/", sent, follow=True)
    assert "changed since this page was opened" in answer.content.decode()
    assert Decision.objects.count() == 3


def test_who_may_not_decide_sees_no_button_and_is_refused(client: Client, reverted: str) -> None:
    assert "Revert production" not in _read(client, "cleo")
    sent = {"target": "production", "to": "2", "current": "3", "reason": "Mine."}
    assert client.post(f"{PAGE}revert/", sent).status_code == 403
    client.force_login(cast.person("dan"))
    assert client.get(PAGE).status_code == 404


def test_before_the_first_adopt_the_page_says_so(client: Client) -> None:
    cast.project()
    assert "Nothing was adopted for production yet." in _read(client, "ben")


def test_the_queries_do_not_grow_with_the_champions(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries, reverted: str
) -> None:
    with django_assert_max_num_queries(10):
        client.get(PAGE)
