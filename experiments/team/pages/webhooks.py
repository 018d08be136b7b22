"""A project's webhooks and what became of each delivery; for its admins."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from experiments.team.pages.access import attempted, back_to_list, in_project, page_of
from experiments.team.queries.access import Access
from experiments.team.queries.messages import EVENTS, KINDS, deliveries_of, pruned_of, webhooks_of
from experiments.team.services import webhooks


class WebhookForm(forms.Form):
    """Fields as typed; the service checks them."""

    address = forms.CharField(max_length=2000)
    kind = forms.CharField(max_length=10)
    events = forms.MultipleChoiceField(
        error_messages={"required": "Choose at least one event."},
    )

    def __init__(self, *args: object, events: list[str], **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        field = self.fields["events"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(event, event) for event in events]


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@in_project
def webhooks_page(request: HttpRequest, access: Access) -> HttpResponse:
    """The list and the log of deliveries; a POST makes a webhook and shows its secret once."""
    if not access.can_administer:
        raise PermissionDenied("Only an admin of the project sees its webhooks.")
    form = WebhookForm(request.POST or None, events=list(EVENTS), initial={"kind": "json"})
    secret = ""
    if request.method == "POST" and form.is_valid():
        secret = _make(request, access, form.cleaned_data)
        if secret:
            form = WebhookForm(events=list(EVENTS), initial={"kind": "json"})
    return _page(request, access, form, secret)


def _page(
    request: HttpRequest, access: Access, form: WebhookForm | None, secret: str
) -> HttpResponse:
    context = {
        "project": access,
        "section": "webhooks",
        "form": form or WebhookForm(events=list(EVENTS), initial={"kind": "json"}),
        "secret": secret,
        "webhooks": webhooks_of(access, page_of(request, "webhooks")),
        "pruned": pruned_of(access),
        "page": deliveries_of(access, page_of(request)),
        "events": EVENTS,
        "kinds": KINDS,
    }
    return render(request, "projects/webhooks.html", context)


def _make(request: HttpRequest, access: Access, cleaned: dict[str, Any]) -> str:
    """The secret of a new webhook, empty after saying why there is none."""
    made = attempted(
        request,
        lambda: webhooks.create(
            access=access,
            kind=cleaned["kind"],
            address=cleaned["address"],
            events=cleaned["events"],
        ),
    )
    return made[1] if made else ""


@never_cache
@require_POST
@in_project
def renew_secret(request: HttpRequest, access: Access, webhook: int) -> HttpResponse:
    """Another secret, shown this once."""
    secret = webhooks.renew_secret(
        access=access,
        webhook_id=webhook,
    )
    return _page(request, access, None, secret)


@require_POST
@in_project
def test_webhook(request: HttpRequest, access: Access, webhook: int) -> HttpResponse:
    """Send it a message that tells of nothing."""
    made = attempted(
        request,
        lambda: webhooks.send_test(
            access=access,
            webhook_id=webhook,
        ),
    )
    if made:
        messages.success(request, "Test sent; its answer is listed below.")
    return back_to_list(request, "webhooks", access.slug)


@require_POST
@in_project
def remove_webhook(request: HttpRequest, access: Access, webhook: int) -> HttpResponse:
    """Remove a webhook with the record of its deliveries."""
    webhooks.remove(
        access=access,
        webhook_id=webhook,
    )
    messages.success(request, "The webhook is removed; nothing is sent to it from now on.")
    return back_to_list(request, "webhooks", access.slug)


@require_POST
@in_project
def send_again(request: HttpRequest, access: Access, delivery: int) -> HttpResponse:
    """Make a delivery due now."""
    webhooks.send_again(
        access=access,
        delivery_id=delivery,
    )
    messages.success(request, "A worker node will send it again shortly.")
    return back_to_list(request, "webhooks", access.slug)
