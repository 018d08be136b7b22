"""Webhooks of a project: made by its admins, their secret shown once, deliveries sent again."""

from __future__ import annotations

import secrets
from collections.abc import Collection

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from experiments.errors import Conflict, NotFound, Problem, VerdictError
from experiments.models import Delivery, Project, Webhook
from experiments.models.project import Role
from experiments.models.webhook import DeliveryState, EventKind, WebhookKind
from experiments.team import outgoing_addresses
from experiments.team.queries.access import Access
from experiments.team.services.changes import note
from experiments.team.services.deliveries import MOST_TRIES
from experiments.team.services.messages import call_senders, checked_events, queue_test
from experiments.team.webhook_signature import secret_of

MOST_WEBHOOKS = 20


def create(
    *, access: Access, kind: str, address: str, events: Collection[str]
) -> tuple[Webhook, str]:
    """Make a webhook; its secret is returned here and never shown again.

    Raises:
        VerdictError: for an address that nothing may be sent to, an unknown kind or event.
        NotAllowed: for someone who is no admin of the project.
    """
    access.require(Role.ADMIN)
    if kind not in WebhookKind.values:
        known = ", ".join(WebhookKind.values)
        raise VerdictError("There is no such kind.", [Problem("kind", f"expected one of {known}")])
    wanted = _events(events)
    _check_address(address.strip())
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=access.project_id)
        if Webhook.objects.filter(project=project).count() >= MOST_WEBHOOKS:
            raise VerdictError(
                f"A project has at most {MOST_WEBHOOKS} webhooks; remove one first."
            )
        made = Webhook.objects.create(
            project=project,
            kind=kind,
            address=address.strip(),
            events=wanted,
            nonce=secrets.token_urlsafe(32),
            created_by=access.user,
        )
        note(access, f"created a webhook to {_host(made)}")
    return made, secret_of(made.nonce)


def change(
    *,
    access: Access,
    webhook_id: int,
    address: str | None = None,
    events: Collection[str] | None = None,
) -> Webhook:
    """Another address or other events; what is None stays. What waits goes to the new address.

    Raises:
        VerdictError: for an address that nothing may be sent to, or an unknown event.
        NotFound: for a webhook of another project.
    """
    access.require(Role.ADMIN)
    with transaction.atomic():
        hook = _find(access, webhook_id)
        if events is not None:
            hook.events = _events(events)
        if address is not None:
            _check_address(address.strip())
            hook.address = address.strip()
        note(access, f"changed the webhook to {_host(hook)}")
        hook.save(update_fields=["events", "address"])
    return hook


def send_test(*, access: Access, webhook_id: int) -> Delivery:
    """Send a webhook a message that tells of nothing, in one attempt.

    Raises:
        Conflict: while the test before still waits.
        NotFound: for a webhook of another project.
    """
    access.require(Role.ADMIN)
    with transaction.atomic():
        hook = _find(access, webhook_id)
        waiting = Delivery.objects.filter(
            webhook=hook, event__kind=EventKind.TEST, state=DeliveryState.WAITING
        )
        if waiting.exists():
            raise Conflict("The previous test is still being sent; see its delivery.")
        return queue_test(hook, by=access.username)


def _events(events: Collection[str]) -> list[str]:
    wanted = checked_events(events)
    if not wanted:
        raise VerdictError("The webhook has no events.", [Problem("events", "choose some")])
    return wanted


def _check_address(address: str) -> None:
    """A name is looked up when something is sent; what is refused for certain is refused now."""
    target = outgoing_addresses.parse(address)
    number = outgoing_addresses.literal(target.host)
    why = outgoing_addresses.refusal(number, settings.WEBHOOK_NETWORKS) if number else ""
    if why:
        raise VerdictError("The address cannot be sent to.", [Problem("address", why)])


def renew_secret(*, access: Access, webhook_id: int) -> str:
    """Another secret; the one before signs nothing any more. Returned here and never again."""
    access.require(Role.ADMIN)
    with transaction.atomic():
        hook = _find(access, webhook_id)
        hook.nonce = secrets.token_urlsafe(32)
        note(access, f"renewed the secret of the webhook to {_host(hook)}")
        hook.save(update_fields=["nonce"])
    return secret_of(hook.nonce)


def remove(*, access: Access, webhook_id: int) -> None:
    """Remove a webhook with the record of its deliveries."""
    access.require(Role.ADMIN)
    with transaction.atomic():
        hook = _find(access, webhook_id)
        note(access, f"removed the webhook to {_host(hook)}")
        hook.delete()


def send_again(*, access: Access, delivery_id: int) -> None:
    """Make a delivery due now, with all its attempts before it again.

    Raises:
        NotFound: for a delivery of another project.
    """
    access.require(Role.ADMIN)
    with transaction.atomic():
        changed = Delivery.objects.filter(
            pk=delivery_id, event__project_id=access.project_id
        ).update(state=DeliveryState.WAITING, tries_left=MOST_TRIES, due_at=timezone.now())
        if not changed:
            raise NotFound("There is no such delivery.")
        call_senders()


def _host(hook: Webhook) -> str:
    """Its host alone: the rest of an address may be a secret."""
    return outgoing_addresses.parse(hook.address).host


def _find(access: Access, webhook_id: int) -> Webhook:
    """A webhook under its lock: of two admins at once the second meets what the first has left."""
    rows = Webhook.objects.select_for_update(of=("self",)).select_related("project")
    found = rows.filter(project_id=access.project_id, pk=webhook_id).first()
    if found is None:
        raise NotFound("There is no such webhook.")
    return found
