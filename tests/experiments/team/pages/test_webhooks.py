from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import Delivery, PrunedDeliveries, Webhook
from experiments.team.services import messages
from tests import cast

pytestmark = pytest.mark.django_db

PAGE = "/projects/digits/webhooks/"
FIELDS = {
    "address": "https://hooks.example.org/x",
    "kind": "json",
    "events": ["decided", "stalled"],
}


@pytest.fixture
def admin(client: Client) -> Client:
    cast.project()
    client.force_login(cast.person("ada"))
    return client


def test_the_secret_of_a_webhook_is_shown_once_and_never_cached(admin: Client) -> None:
    answer = admin.post(PAGE, FIELDS)
    secret = re.findall(r"whsec_[\w-]{40,}", answer.content.decode())[0]
    assert "no-store" in answer.headers["Cache-Control"]
    page = admin.get(PAGE).content.decode()
    assert secret not in page and "https://hooks.example.org/x" in page
    assert Webhook.objects.get().events == ["stalled", "decided"]


def test_what_is_wrong_is_said_and_what_was_typed_stays(admin: Client) -> None:
    page = admin.post(PAGE, FIELDS | {"address": "http://127.0.0.1:6379/"}).content.decode()
    assert "not a public address" in page and "http://127.0.0.1:6379/" in page
    assert re.search(r'value="stalled" checked', page)
    page = admin.post(PAGE, {"address": "https://hooks.example.org/", "kind": "json"}).content
    assert b"Choose at least one event." in page
    assert not Webhook.objects.exists()


@pytest.mark.parametrize(("name", "status"), [("cleo", 403), ("ben", 403), ("dan", 404)])
def test_only_admins_see_or_change_them(admin: Client, name: str, status: int) -> None:
    admin.post(PAGE, FIELDS)
    hook = Webhook.objects.get().pk
    admin.force_login(cast.person(name))
    assert admin.get(PAGE).status_code == status
    assert admin.post(PAGE, FIELDS).status_code == status
    for rest in (f"{hook}/secret/", f"{hook}/remove/"):
        assert admin.post(PAGE + rest).status_code == status
    assert admin.post("/projects/digits/deliveries/1/again/").status_code == status
    assert Webhook.objects.count() == 1


def test_a_new_secret_is_another_and_a_removed_webhook_is_gone(admin: Client) -> None:
    first = re.findall(r"whsec_[\w-]{40,}", admin.post(PAGE, FIELDS).content.decode())[0]
    hook = Webhook.objects.get().pk
    renewed = admin.post(f"{PAGE}{hook}/secret/").content.decode()
    assert "whsec_" in renewed and first not in renewed
    assert (
        "nothing is sent to it from now on"
        in admin.post(f"{PAGE}{hook}/remove/", follow=True).content.decode()
    )


def test_deliveries_show_their_last_answer_escaped_and_are_sent_again(admin: Client) -> None:
    admin.post(PAGE, FIELDS)
    of = Webhook.objects.get().project
    messages.announce(project=of, kind="stalled", key="k", text="<b>wider</b> waits", path="/")
    Delivery.objects.update(state="failed", attempts=8, status=500, answer="<script>alert(1)")
    page = admin.get(PAGE).content.decode()
    assert "&lt;script&gt;alert(1)" in page and "<script>alert" not in page
    assert "&lt;b&gt;wider" in page and "hooks.example.org" in page and "failed" in page
    again = f"/projects/digits/deliveries/{Delivery.objects.get().pk}/again/"
    assert "will send it again" in admin.post(again, follow=True).content.decode()
    assert Delivery.objects.get().state == "waiting"


def test_the_key_in_a_slack_address_is_not_shown_again(admin: Client) -> None:
    address = "https://hooks.slack.com/services/T024/B024/abcdefghijkl"
    admin.post(PAGE, FIELDS | {"address": address, "kind": "slack"})
    page = admin.get(PAGE).content.decode()
    assert "https://hooks.slack.com/…ijkl" in page and "abcdefgh" not in page


def test_a_webhook_is_tested_at_a_click_and_what_was_pruned_is_counted(admin: Client) -> None:
    admin.post(PAGE, FIELDS)
    hook = Webhook.objects.get()
    assert f"{PAGE}{hook.pk}/test/" in admin.get(PAGE).content.decode()
    page = admin.post(f"{PAGE}{hook.pk}/test/", follow=True).content.decode()
    assert "Test sent" in page and "ada tests this webhook of Digits" in page
    page = admin.post(f"{PAGE}{hook.pk}/test/", follow=True).content.decode()
    assert "still being sent" in page and Delivery.objects.count() == 1
    PrunedDeliveries.objects.create(
        project=hook.project, sent=1200, failed=3, until=timezone.now()
    )
    assert "1,200 sent, 3 failed" in admin.get(PAGE).content.decode()
