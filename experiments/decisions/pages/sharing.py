"""The read-only links of a project: made here, shown once, revoked."""

from __future__ import annotations

from urllib.parse import urljoin

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from experiments.decisions.queries.decisions import find_decision
from experiments.decisions.queries.shared_links import links_of
from experiments.decisions.services import sharing
from experiments.design.queries.experiments import experiment_names, find_experiment
from experiments.errors import NotAllowed, NotFound, VerdictError
from experiments.team.pages.access import (
    back_to_list,
    explain,
    in_project,
    page_of,
    required,
    whole_number,
)
from experiments.team.queries.access import Access


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@in_project
def sharing_page(request: HttpRequest, access: Access) -> HttpResponse:
    """Page of the links; a POST makes one and shows its address this once."""
    if not access.can_administer:
        raise NotAllowed(f"Only an admin of {access.slug} shares; your role is {access.role}.")
    secret = _make(request, access) if request.method == "POST" else ""
    if "in_place" in request.POST:
        if secret:
            messages.info(request, _copy(address_of(secret)))
        return _back(request, access)
    asked = request.POST if request.method == "POST" else request.GET
    context = {
        "project": access,
        "section": "settings",
        "tab": "sharing",
        "links": links_of(access, page_of(request)),
        "link": address_of(secret) if secret else "",
        "names": experiment_names(access),
        "experiment": "" if secret else asked.get("experiment", "")[:200],
        "decision": "" if secret else asked.get("decision", "")[:10],
    }
    refused = request.method == "POST" and not secret
    return render(request, "projects/sharing.html", context, status=400 if refused else 200)


def address_of(secret: str) -> str:
    """Made of the configured address, never of what a request calls this server."""
    return urljoin(settings.PUBLIC_URL, reverse("shared", args=[secret]))


def _copy(address: str) -> SafeString:
    """The address of a new link on the page it was made on, this once."""
    return format_html(
        '<b>Copy the link now: it cannot be shown again.</b> <span class="cmd"><code id="link">{}'
        '</code><button type="button" data-copy="link">Copy</button></span>',
        address,
    )


def _back(request: HttpRequest, access: Access) -> HttpResponse:
    """The page that a form stands on: of an experiment, a decision or a frozen report."""
    if frozen := whole_number(request.POST.get("frozen_report"), 0):
        return redirect("frozen_report", access.slug, frozen)
    if found := find_experiment(access, request.POST.get("experiment", "")):
        return redirect("experiment", access.slug, found.name)
    made = required(find_decision(access, whole_number(request.POST.get("decision"), 0)))
    return redirect("decision", access.slug, made.sequence)


def _make(request: HttpRequest, access: Access) -> str:
    """The secret of a new link, empty after saying why there is none."""
    number = request.POST.get("decision", "").strip()
    frozen = request.POST.get("frozen_report", "").strip()
    try:
        _, secret = sharing.create(
            access=access,
            experiment=request.POST.get("experiment", "").strip(),
            decision=whole_number(number, -1) if number else None,
            frozen_report=whole_number(frozen, -1) if frozen else None,
        )
    except NotFound as error:
        messages.error(request, error.message)
        return ""
    except VerdictError as error:
        explain(request, error)
        return ""
    return secret


@require_POST
@in_project
def revoke_link(request: HttpRequest, access: Access, link: int) -> HttpResponse:
    """Make a link useless at once."""
    sharing.revoke(access=access, link_id=link)
    messages.success(request, "The link is revoked and no longer works.")
    if "in_place" in request.POST:
        return _back(request, access)
    return back_to_list(request, "sharing", access.slug)
