"""The way of a delivery: claimed by one sender, answered, tried again later, given up."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from experiments.models import Delivery, Membership, PrunedDeliveries
from experiments.models.webhook import DeliveryState
from experiments.team.webhook_signature import secret_of

MOST_TRIES = 8
FIRST_WAIT = dt.timedelta(seconds=10)
LONGEST_WAIT = dt.timedelta(hours=6)
# Longer than any attempt takes. A sender that dies leaves its delivery due again after this.
LEASE = dt.timedelta(minutes=3)
LONGEST_ANSWER = 500
PRUNED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Parcel:
    """A claimed delivery. `email` is the receiver's mail address, or `address` and `secret` are
    a webhook's; `refused` says why it must not be sent any more."""

    delivery_id: int
    attempt: int
    event_id: int
    project_id: int
    document: dict[str, Any]
    kind: str = ""
    address: str = ""
    secret: str = ""
    email: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Result of an attempt. `final`: another attempt would be in vain."""

    sent: bool
    text: str
    status: int | None = None
    final: bool = False


def wait_after(tries: int) -> dt.timedelta:
    """Pause after so many attempts that failed: 10 s, 40 s, ... at most 6 h."""
    return min(FIRST_WAIT * int(4 ** (tries - 1)), LONGEST_WAIT)


def any_due() -> bool:
    """Test whether something waits to be sent now."""
    return Delivery.objects.filter(
        state=DeliveryState.WAITING, due_at__lte=timezone.now()
    ).exists()


def claim() -> Parcel | None:
    """Take the delivery that has been due longest; None when there is none.

    Compare-and-set on the number of attempts: of two senders one takes it.
    """
    now = timezone.now()
    due = Delivery.objects.filter(state=DeliveryState.WAITING, due_at__lte=now)
    for found in due.order_by("due_at", "pk")[:20]:
        same = due.filter(pk=found.pk, attempts=found.attempts)
        if not found.tries_left:
            same.update(state=DeliveryState.FAILED, answer="The worker that sent this died.")
            continue
        mine = same.update(
            attempts=F("attempts") + 1,
            tries_left=F("tries_left") - 1,
            due_at=now + LEASE,
            tried_at=now,
        )
        if mine:
            return _parcel(found.pk)
    return None


def record(*, parcel: Parcel, answer: Answer) -> None:
    """Write down what came of an attempt; nothing when another sender has taken over."""
    claimed = Delivery.objects.filter(
        pk=parcel.delivery_id, attempts=parcel.attempt, state=DeliveryState.WAITING
    )
    left = claimed.values_list("tries_left", flat=True).first()
    if left is None:
        return
    state = DeliveryState.WAITING
    if answer.sent:
        state = DeliveryState.SENT
    elif answer.final or not left:
        state = DeliveryState.FAILED
    claimed.update(
        state=state,
        due_at=timezone.now() + wait_after(max(1, MOST_TRIES - left)),
        status=answer.status,
        answer=answer.text.replace("\x00", "\ufffd")[:LONGEST_ANSWER],
    )


def prune(*, older_than: dt.timedelta, most: int = PRUNED_AT_ONCE) -> int:
    """Delete finished deliveries whose last attempt is older, `most` at once; how many.

    What they tell of stays: an event is never told twice. Their numbers stay with the project.
    """
    old = Delivery.objects.exclude(state=DeliveryState.WAITING).filter(
        tried_at__lt=timezone.now() - older_than
    )
    rows = list(old.order_by("tried_at").values_list("pk", "event__project", "tried_at")[:most])
    by_project: dict[int, list[tuple[int, dt.datetime]]] = {}
    for pk, project, tried in rows:
        if tried is not None:
            by_project.setdefault(project, []).append((pk, tried))
    return sum(_prune(project, found) for project, found in sorted(by_project.items()))


def _prune(project: int, found: list[tuple[int, dt.datetime]]) -> int:
    """Whoever deletes a row counts it, so of two that prune at once neither counts twice."""
    newest = max(tried for _, tried in found)
    with transaction.atomic():
        row, _ = PrunedDeliveries.objects.select_for_update().get_or_create(
            project_id=project, defaults={"until": newest}
        )
        rows = Delivery.objects.filter(pk__in=[pk for pk, _ in found])
        gone = {
            state: rows.filter(state=state).delete()[0]
            for state in (DeliveryState.SENT, DeliveryState.FAILED)
        }
        row.sent += gone[DeliveryState.SENT]
        row.failed += gone[DeliveryState.FAILED]
        row.until = max(row.until, newest)
        row.save()
    return sum(gone.values())


def _parcel(delivery_id: int) -> Parcel:
    row = Delivery.objects.select_related("event", "webhook", "user").get(pk=delivery_id)
    hook, user = row.webhook, row.user
    refused = ""
    if user is not None and not _may_read(row):
        refused = f"{user.get_username()} is no longer a member of the project"
    return Parcel(
        delivery_id=row.pk,
        attempt=row.attempts,
        event_id=row.event_id,
        project_id=row.event.project_id,
        document=json.loads(row.event.document),
        kind=hook.kind if hook else "mail",
        address=hook.address if hook else "",
        secret=secret_of(hook.nonce) if hook else "",
        email=user.email if user else "",
        refused=refused,
    )


def _may_read(row: Delivery) -> bool:
    user = row.user
    if user is None or not user.is_active:
        return False
    members = Membership.objects.filter(user=user, project_id=row.event.project_id)
    return user.is_superuser or members.exists()
