from __future__ import annotations

import pytest
from django.http import HttpRequest
from django.test import Client, override_settings
from django.urls import path
from django.views.defaults import server_error

from experiments.site import urls
from tests import cast

pytestmark = pytest.mark.django_db


def _broken(request: HttpRequest) -> None:
    raise RuntimeError("broken on purpose")


urlpatterns = [*urls.urlpatterns, path("broken/", _broken)]  # type: ignore[arg-type]


def test_a_page_that_is_not_there_leads_back(client: Client) -> None:
    client.force_login(cast.person("ada"))
    answer = client.get("/nothing/here/")
    assert answer.status_code == 404
    text = answer.content.decode()
    assert "There is no such page" in text and "To your projects" in text


def test_what_one_may_not_do_says_who_may(client: Client) -> None:
    cast.project()
    experiment = cast.search()
    client.force_login(cast.person("ben"))
    answer = client.post(cast.address(experiment, "stop/"))
    assert answer.status_code == 403
    assert "Only an editor of digits may do this; your role is viewer." in answer.content.decode()


def test_a_form_without_its_token_records_nothing_and_says_so() -> None:
    cast.project()
    experiment = cast.search()
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.person("ada"))
    answer = client.post(cast.address(experiment, "stop/"))
    assert answer.status_code == 403
    assert "That form was open too long" in answer.content.decode()


@override_settings(ROOT_URLCONF=__name__)
def test_a_broken_page_says_that_it_is_not_the_persons_doing() -> None:
    client = Client(raise_request_exception=False)
    client.force_login(cast.person("ada"))
    answer = client.get("/broken/")
    assert answer.status_code == 500
    text = answer.content.decode()
    assert "Something broke here" in text and "broken on purpose" not in text


def test_the_page_of_a_broken_server_needs_no_database(rf, django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    with django_assert_num_queries(0):
        assert b"Something broke here" in server_error(rf.get("/")).content
