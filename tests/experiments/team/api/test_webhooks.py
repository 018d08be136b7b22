from __future__ import annotations

import json

import pytest
from django.conf import settings

from experiments.models import Delivery, Webhook
from tests import cast
from tests.experiments.asking_programs import HERE, Program
from tests.services_under_test.receiver import Receiver
from workers.delivery.deliveries import send_due

pytestmark = pytest.mark.django_db
HOOK = {"address": "https://hooks.example.org/x", "events": ["decided"]}


def _made(admin: Program, **more: object) -> dict[str, object]:
    status, made = admin.post(f"{HERE}/webhooks", HOOK | more)
    assert status == 201, made
    assert isinstance(made, dict)
    return made


def test_a_secret_is_told_when_it_is_made_and_never_again() -> None:
    cast.project()
    admin = Program("ada")
    made = _made(admin)
    secret = str(made.pop("secret"))
    assert secret.startswith("whsec_")
    assert admin.get(f"{HERE}/webhooks") == {"webhooks": [made]}
    one = f"{HERE}/webhooks/{made['id']}"
    status, changed = admin.ask("PATCH", one, {"events": ["failed", "decided"]})
    assert status == 200 and changed == made | {"events": ["failed", "decided"]}
    status, renewed = admin.post(f"{one}/secret")
    assert status == 200 and renewed["secret"] not in (secret, "")
    told = json.dumps([admin.get(f"{HERE}/webhooks"), admin.get(f"{HERE}/deliveries")])
    assert secret not in told and renewed["secret"] not in told
    assert admin.ask("DELETE", one)[0] == 204 and admin.ask("DELETE", one)[0] == 404
    assert not Webhook.objects.exists()


def test_of_a_slack_address_the_key_to_the_channel_is_not_told() -> None:
    cast.project()
    admin = Program("ada")
    key = "T000/B000/abcdefghijklmnop"
    made = _made(admin, kind="slack", address=f"https://hooks.slack.com/services/{key}")
    listed = json.dumps(admin.get(f"{HERE}/webhooks"))
    assert key not in json.dumps(made) and key not in listed and "mnop" in listed


def test_a_refused_change_changes_nothing() -> None:
    cast.project()
    admin = Program("ada")
    one = f"{HERE}/webhooks/{_made(admin)['id']}"
    for wrong in (
        {"address": "http://169.254.169.254/latest"},
        {"address": "https://hooks.example.org/\r\nX-Evil: 1"},
        {"address": "", "events": ["failed"]},
        {"events": []},
        {"events": ["test"]},
        {"events": ["failed"], "address": "ftp://example.org"},
    ):
        status, error = admin.ask("PATCH", one, wrong)
        assert status == 400, (wrong, error)
    held = Webhook.objects.get()
    assert (held.address, held.events) == (HOOK["address"], ["decided"])


def test_a_test_goes_to_that_webhook_alone_and_its_delivery_tells_how_it_went(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "WEBHOOK_NETWORKS", ["127.0.0.0/8"])
    cast.project()
    admin = Program("ada")
    _made(admin)
    made = _made(admin, address=receiver.url)
    test = f"{HERE}/webhooks/{made['id']}/test"
    status, delivery = admin.post(test)
    assert status == 202 and (delivery["event"], delivery["state"]) == ("test", "waiting")
    assert admin.post(test)[0] == 409, "one after the other"
    assert send_due() == 1
    [(headers, body)] = receiver.got
    assert headers["Verdict-Event"] == "test" and "ada tests this webhook" in str(body)
    found = admin.get(f"{HERE}/deliveries")
    assert found["total"] == 1 and found["pruned"] is None
    assert (found["deliveries"][0]["state"], found["deliveries"][0]["status"]) == ("sent", 200)
    status, again = admin.post(f"{HERE}/deliveries/{delivery['id']}/again")
    assert status == 200 and again["state"] == "waiting"
    assert send_due() == 1 and len(receiver.got) == 2
    assert admin.post(test)[0] == 202


def test_webhooks_are_for_admins_with_the_scope_alone() -> None:
    cast.project()
    one = f"{HERE}/webhooks/{_made(Program('ada'))['id']}"
    reader, editor = Program("ada", scopes=("read",)), Program("cleo")
    assert reader.get(f"{HERE}/webhooks")["webhooks"]
    for program, reads in ((reader, 200), (editor, 403)):
        assert program.ask("GET", f"{HERE}/deliveries")[0] == reads
        for method, address, body in (
            ("POST", f"{HERE}/webhooks", HOOK),
            ("PATCH", one, {"events": ["failed"]}),
            ("DELETE", one, None),
            ("POST", f"{one}/secret", None),
            ("POST", f"{one}/test", None),
        ):
            assert program.ask(method, address, body)[0] == 403
    cast.project("speech")
    elsewhere = one.replace("digits", "speech")
    for method, address in (("PATCH", elsewhere), ("DELETE", elsewhere)):
        assert Program("ada").ask(method, address, {})[0] == 404
    for action in ("secret", "test"):
        assert Program("ada").post(f"{elsewhere}/{action}")[0] == 404
    assert Webhook.objects.get().events == ["decided"] and not Delivery.objects.exists()
