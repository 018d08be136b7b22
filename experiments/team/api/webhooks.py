"""A project's webhooks and what became of each delivery; for its admins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from ninja import Field, Router, Status
from pydantic import StringConstraints

from experiments.errors import NotFound
from experiments.team.api import auth
from experiments.team.queries import messages
from experiments.team.queries.access import Access
from experiments.team.queries.messages import DeliveryRow, Pruned, WebhookRow
from experiments.team.services import webhooks as services
from experiments.web import api_bodies
from experiments.web.api_schemas import (
    PAGED,
    PageNumber,
    PageSize,
    Strict,
    Text,
    answer,
    joined,
    paged,
    schema_of,
)
from experiments.web.pagination import PAGE_SIZE, PageOf
from experiments.web.requests import TokenRequest

router = Router(tags=["webhooks"])
_ONE = "/{slug}/webhooks/{int:webhook}"
_ERRORS = auth.READ_ERRORS | auth.WRITE_ERRORS
_DELIVERIES = answer("Deliveries", deliveries=[DeliveryRow], pruned=Pruned | None, **PAGED)
Events = Annotated[list[Text], Field(max_length=20)]
Address = Annotated[str, StringConstraints(max_length=2000)]


@dataclass(frozen=True, slots=True)
class WebhookMade(WebhookRow):
    """A webhook with its secret, which no other answer tells."""

    secret: str


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


@router.get(
    "/{slug}/webhooks", response={200: answer("Webhooks", webhooks=[WebhookRow]), **_ERRORS}
)
def list_webhooks(request: TokenRequest, slug: str) -> dict[str, Sequence[WebhookRow]]:
    """The addresses that hear of the project, without their secrets."""
    access = auth.administering(request, slug, "read")
    return {"webhooks": messages.webhooks_of(access).rows}


@router.post(
    "/{slug}/webhooks",
    response={201: schema_of(WebhookMade), **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(WebhookIn),
)
def create_webhook(request: TokenRequest, slug: str) -> Status[WebhookMade]:
    """Make one; its secret stands in this answer and in no other."""
    access = auth.administering(request, slug)
    body = api_bodies.read(request, WebhookIn).dict()
    made, secret = services.create(access=access, **body)
    return Status(201, joined(WebhookMade, _row(access, made.pk), secret=secret))


@router.patch(
    _ONE,
    response={200: schema_of(WebhookRow), **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(WebhookChangeIn),
)
def change_webhook(request: TokenRequest, slug: str, webhook: int) -> WebhookRow:
    """Another address or other events; the secret stays."""
    access = auth.administering(request, slug)
    services.change(
        access=access,
        webhook_id=_number(webhook),
        **api_bodies.read(request, WebhookChangeIn).dict(),
    )
    return _row(access, webhook)


@router.delete(_ONE, response={204: None, **auth.WRITE_ERRORS})
def remove_webhook(request: TokenRequest, slug: str, webhook: int) -> Status[None]:
    """Remove one with the record of its deliveries."""
    access = auth.administering(request, slug)
    services.remove(access=access, webhook_id=_number(webhook))
    return Status(204, None)


@router.post(f"{_ONE}/secret", response={200: answer("Secret", secret=str), **auth.WRITE_ERRORS})
def renew_secret(request: TokenRequest, slug: str, webhook: int) -> dict[str, str]:
    """Another secret, told this once."""
    access = auth.administering(request, slug)
    secret = services.renew_secret(access=access, webhook_id=_number(webhook))
    return {"secret": secret}


@router.post(f"{_ONE}/test", response={202: schema_of(DeliveryRow), **auth.WRITE_ERRORS})
def test_webhook(request: TokenRequest, slug: str, webhook: int) -> Status[DeliveryRow]:
    """Send it a message that tells of nothing, in one attempt; its delivery says how it went."""
    access = auth.administering(request, slug)
    made = services.send_test(access=access, webhook_id=_number(webhook))
    return Status(202, messages.find_delivery(access, made.pk))


@router.get("/{slug}/deliveries", response={200: _DELIVERIES, **_ERRORS})
def list_deliveries(
    request: TokenRequest, slug: str, page: PageNumber = 1, per_page: PageSize = PAGE_SIZE
) -> dict[str, Sequence[DeliveryRow] | int | Pruned | None]:
    """Deliveries, webhooks and mails, sent and waiting, newest first, fifty a page unless told;
    beyond the last page there are none."""
    access = auth.administering(request, slug, "read")
    found = messages.deliveries_of(access, PageOf(page, per_page, exact=True))
    return {**paged("deliveries", found), "pruned": messages.pruned_of(access)}


@router.post(
    "/{slug}/deliveries/{int:delivery}/again",
    response={200: schema_of(DeliveryRow), **auth.WRITE_ERRORS},
)
def send_again(request: TokenRequest, slug: str, delivery: int) -> DeliveryRow:
    """Make a delivery due now, with all its attempts before it again."""
    access = auth.administering(request, slug)
    services.send_again(access=access, delivery_id=_number(delivery))
    return messages.find_delivery(access, delivery)


def _row(access: Access, webhook: int) -> WebhookRow:
    (row,) = (known for known in messages.webhooks_of(access).rows if known.id == webhook)
    return row


def _number(number: int) -> int:
    if number >= 2**63:
        raise NotFound("There is nothing with that number.")
    return number
