from __future__ import annotations

import pytest
from django.test import Client

from experiments.models import MessageChoice
from tests import cast

pytestmark = pytest.mark.django_db
PAGE = "/account/messages/"


@pytest.fixture
def ben(client: Client) -> Client:
    cast.project()
    cast.project("fashion")
    person = cast.person("ben")
    person.email = "ben@example.org"
    person.save()
    client.force_login(person)
    return client


def test_a_member_chooses_for_each_project(ben: Client) -> None:
    answer = ben.post(f"{PAGE}digits/", {"events": ["decided", "stalled"]}, follow=True)
    page = answer.content.decode()
    assert "From Digits you get a mail when: decided, stalled." in page
    assert page.count("checked") == 2 and "ben@example.org" in page
    assert MessageChoice.objects.get().events == ["stalled", "decided"]
    ben.post(f"{PAGE}digits/", {})
    assert MessageChoice.objects.get().events == []


def test_an_unknown_event_is_refused_in_words(ben: Client) -> None:
    page = ben.post(f"{PAGE}digits/", {"events": ["lunch"]}, follow=True).content.decode()
    assert "There is no such event." in page and not MessageChoice.objects.exists()


def test_without_an_address_nothing_can_be_chosen(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("cleo"))
    assert "has no mail address" in client.get(PAGE).content.decode()
    page = client.post(f"{PAGE}digits/", {"events": ["decided"]}, follow=True).content.decode()
    assert "has no mail address" in page and not MessageChoice.objects.exists()


def test_a_project_one_may_not_see_is_not_there(client: Client) -> None:
    cast.project()
    client.force_login(cast.person("dan"))
    assert client.post(f"{PAGE}digits/", {"events": ["decided"]}).status_code == 404
    assert "No projects yet" in client.get(PAGE).content.decode()
    client.logout()
    assert client.get(PAGE).status_code == 302
