"""Webhooks, deliveries and choices as their pages read them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from django.contrib.auth.models import User

from experiments.models import Delivery, MessageChoice, PrunedDeliveries, Webhook
from experiments.models.webhook import EventKind, WebhookKind
from experiments.team.queries.access import Access, listed_projects
from experiments.web.pagination import EVERY_ROW, FIRST_PAGE, Page, PageOf, paged

EVENTS: dict[str, str] = {
    EventKind.FINISHED: "a search has ended",
    EventKind.FAILED: "a search ended or paused without a complete trial, or replicates failed",
    EventKind.STALLED: "a running experiment makes no progress",
    EventKind.WANTED: "all replicates of a look are complete",
    EventKind.DECIDED: "the decision log has a new entry",
}
KINDS: dict[str, str] = {
    WebhookKind.JSON: "JSON, signed",
    WebhookKind.SLACK: "Slack's format",
}


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """For admins. Of a Slack address only the end is shown: its path is the key to the channel."""

    id: int
    kind: str
    address: str
    events: tuple[str, ...]
    made_by: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    id: int
    event: str
    text: str
    to: str
    state: str
    attempts: int
    tried_at: datetime | None
    due_at: datetime
    status: int | None
    answer: str


@dataclass(frozen=True, slots=True)
class Pruned:
    """Finished deliveries that were deleted for their age; `until` is their newest attempt."""

    sent: int
    failed: int
    until: datetime


@dataclass(frozen=True, slots=True)
class ProjectChoice:
    """A project with the events that one person gets by mail."""

    slug: str
    name: str
    events: tuple[str, ...]


def webhooks_of(access: Access, wanted: PageOf = EVERY_ROW) -> Page[WebhookRow]:
    """A project's webhooks, the oldest first."""
    rows = Webhook.objects.filter(project_id=access.project_id).select_related("created_by")
    return paged(rows.order_by("pk"), wanted, _webhook)


def _webhook(row: Webhook) -> WebhookRow:
    return WebhookRow(
        id=row.pk,
        kind=row.kind,
        address=_shown(row),
        events=tuple(row.events),
        made_by=row.created_by.get_username(),
        made_at=row.created_at,
    )


def deliveries_of(access: Access, page: PageOf = FIRST_PAGE) -> Page[DeliveryRow]:
    """A page of what was sent or waits to be, newest first."""
    rows = Delivery.objects.filter(event__project_id=access.project_id)
    return paged(rows.select_related("event", "webhook", "user").order_by("-pk"), page, _row)


def find_delivery(access: Access, delivery_id: int) -> DeliveryRow:
    """One delivery of a project."""
    rows = Delivery.objects.select_related("event", "webhook", "user")
    return _row(rows.get(pk=delivery_id, event__project_id=access.project_id))


def pruned_of(access: Access) -> Pruned | None:
    """Number of finished deliveries that are only counted by now; None while none is."""
    row = PrunedDeliveries.objects.filter(project_id=access.project_id).first()
    return Pruned(row.sent, row.failed, row.until) if row else None


def choices_of(user: User, wanted: PageOf = FIRST_PAGE) -> Page[ProjectChoice]:
    """Projects that a person may see, with their choices."""
    rows = MessageChoice.objects.filter(user_id=user.pk)
    chosen = {row.project_id: tuple(row.events) for row in rows}
    return paged(
        listed_projects(user).order_by("slug"),
        wanted,
        lambda project: ProjectChoice(project.slug, project.name, chosen.get(project.pk, ())),
    )


def _shown(hook: Webhook) -> str:
    if hook.kind != WebhookKind.SLACK:
        return hook.address
    parts = urlsplit(hook.address)
    return f"{parts.scheme}://{parts.netloc}/…{hook.address[-4:]}"


def _row(row: Delivery) -> DeliveryRow:
    to = row.user.get_username() if row.user else ""
    if row.webhook is not None:
        to = urlsplit(row.webhook.address).netloc
    return DeliveryRow(
        id=row.pk,
        event=row.event.kind,
        text=json.loads(row.event.document).get("text", ""),
        to=to,
        state=row.state,
        attempts=row.attempts,
        tried_at=row.tried_at,
        due_at=row.due_at,
        status=row.status,
        answer=row.answer,
    )
