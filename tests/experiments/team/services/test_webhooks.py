from __future__ import annotations

import pytest
from django.conf import settings

from experiments.errors import NotAllowed, NotFound, VerdictError
from experiments.models import Delivery, Event, Project, Webhook
from experiments.team.services import messages, webhooks
from experiments.team.services.deliveries import MOST_TRIES
from experiments.team.webhook_signature import secret_of
from tests import cast

pytestmark = pytest.mark.django_db
ADDRESS = "https://hooks.example.org/x"


def _create(project: Project, who: str = "ada", **more: object) -> tuple[Webhook, str]:
    arguments: dict[str, object] = {
        "kind": "json",
        "address": ADDRESS,
        "events": ["decided"],
        **more,
    }
    return webhooks.create(access=cast.access(who, project), **arguments)  # type: ignore[arg-type]


def test_the_secret_is_told_once_and_stored_nowhere() -> None:
    made, secret = _create(cast.project())
    stored = str(Webhook.objects.values().get())
    assert secret.startswith("whsec_") and secret not in stored
    assert secret == secret_of(made.nonce)


def test_only_an_admin_makes_renews_removes_and_sends_again() -> None:
    project = cast.project()
    made, _ = _create(project)
    for name, refusal in (("cleo", NotAllowed), ("ben", NotAllowed), ("dan", NotFound)):
        with pytest.raises(refusal):
            _create(project, name)
        with pytest.raises(refusal):
            webhooks.renew_secret(access=cast.access(name), webhook_id=made.pk)
        with pytest.raises(refusal):
            webhooks.remove(access=cast.access(name), webhook_id=made.pk)
        with pytest.raises(refusal):
            webhooks.send_again(access=cast.access(name), delivery_id=1)
    assert Webhook.objects.count() == 1


def test_what_cannot_be_sent_to_is_refused_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = cast.project()
    with pytest.raises(VerdictError) as raised:
        _create(project, address="http://169.254.169.254/latest/meta-data")
    assert "not a public address" in raised.value.problems[0].message
    with pytest.raises(VerdictError):
        _create(project, address="javascript:alert(1)")
    monkeypatch.setattr(settings, "WEBHOOK_NETWORKS", ["10.0.0.0/8"])
    _create(project, address="http://10.1.2.3/hook")


@pytest.mark.parametrize(
    ("wrong", "where"), [({"kind": "fax"}, "kind"), ({"events": []}, "events")]
)
def test_a_wrong_kind_or_no_event_is_said_at_its_field(wrong: object, where: str) -> None:
    project = cast.project()
    with pytest.raises(VerdictError) as raised:
        _create(project, **wrong)  # type: ignore[arg-type]
    assert raised.value.problems[0].where == where


def test_a_renewed_secret_is_another_one() -> None:
    project = cast.project()
    made, secret = _create(project)
    again = webhooks.renew_secret(access=cast.access("ada", project), webhook_id=made.pk)
    assert again != secret
    made.refresh_from_db()
    assert secret_of(made.nonce) == again


def test_a_webhook_and_a_delivery_of_another_project_are_not_there() -> None:
    project, other = cast.project(), cast.project("fashion")
    made, _ = _create(project)
    messages.announce(project=project, kind="decided", key="k", text="t", path="/")
    ada = cast.access("ada", other)
    with pytest.raises(NotFound):
        webhooks.remove(access=ada, webhook_id=made.pk)
    with pytest.raises(NotFound):
        webhooks.send_again(access=ada, delivery_id=Delivery.objects.get().pk)


def test_a_project_has_no_more_webhooks_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MOST_WEBHOOKS", 1)
    project = cast.project()
    _create(project)
    with pytest.raises(VerdictError, match="at most 1"):
        _create(project)


def test_what_failed_is_sent_again_with_all_its_attempts() -> None:
    project = cast.project()
    made, _ = _create(project)
    messages.announce(project=project, kind="decided", key="k", text="t", path="/")
    delivery = Delivery.objects.get()
    Delivery.objects.update(state="failed", tries_left=0, attempts=8)
    webhooks.send_again(access=cast.access("ada", project), delivery_id=delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries_left, delivery.attempts) == ("waiting", MOST_TRIES, 8)
    webhooks.remove(access=cast.access("ada", project), webhook_id=made.pk)
    assert not Delivery.objects.exists() and Event.objects.count() == 1
