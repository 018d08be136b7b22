"""API schemas of webhooks, deliveries and mail notifications."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from ninja import Field, Schema
from pydantic import StringConstraints

from experiments.web.api_schemas import Strict, Text

Events = Annotated[list[Text], Field(max_length=20)]
Address = Annotated[str, StringConstraints(max_length=2000)]


class WebhookIn(Strict):
    address: Address
    kind: Text = Field(default="json", description="json, signed, or slack")
    events: Events = Field(
        description="finished, failed, stalled, decision wanted, decided: any of them"
    )


class WebhookChangeIn(Strict):
    """Changes of a webhook; a field that is left out stays as it is."""

    address: Address | None = None
    events: Events | None = None


class WebhookOut(Schema):
    """Of a Slack address only the end is told: its path is the key to the channel."""

    id: int
    kind: str
    address: str
    events: list[str]
    made_by: str
    made_at: datetime


class WebhookMadeOut(WebhookOut):
    """`secret` is told this once; deliveries are signed with it."""

    secret: str


class WebhooksOut(Schema):
    webhooks: list[WebhookOut]


class SecretOut(Schema):
    """Told this once; the secret before signs nothing any more."""

    secret: str


class DeliveryOut(Schema):
    """A message on its way to one webhook or one mailbox; `answer` is the last one."""

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


class PrunedOut(Schema):
    """Finished deliveries that are only counted by now; `until` is their newest attempt."""

    sent: int
    failed: int
    until: datetime


class DeliveriesOut(Schema):
    deliveries: list[DeliveryOut]
    page: int
    pages: int
    total: int
    pruned: PrunedOut | None
