"""The card that shows how to log a project's first run, and turns when it has come."""

from __future__ import annotations

from typing import Any

from django import template
from django.http import HttpRequest

from experiments.team.queries.first_runs import ReceivedRun
from experiments.tracking.first_run import snippets

register = template.Library()


@register.inclusion_tag("parts/first_run.html", takes_context=True)
def first_run(
    context: template.Context, slug: str, received: ReceivedRun | None, token: str = ""
) -> dict[str, Any]:
    """Snippets with the address of this server; `token` is a new one's text."""
    request: HttpRequest = context["request"]
    server = f"{request.scheme}://{request.get_host()}"
    return {
        "slug": slug,
        "snippets": snippets(server, slug, token),
        "received": received,
        "has_token": bool(token),
        "csrf_token": context.get("csrf_token"),
    }
