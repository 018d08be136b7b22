"""Page of mail notifications: events by project."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from experiments.team.pages.access import back_to_list, done, page_of, required
from experiments.team.queries.access import find_project
from experiments.team.queries.messages import EVENTS, choices_of
from experiments.team.services import messages as choices
from experiments.web.requests import PersonRequest


@require_safe
@login_required
def messages_page(request: PersonRequest) -> HttpResponse:
    """Projects of the person with their events."""
    context = {"page": choices_of(request.user, page_of(request)), "events": EVENTS}
    return render(request, "account/messages.html", context)


@require_POST
@login_required
def choose_messages(request: PersonRequest, slug: str) -> HttpResponse:
    """Set the events of one project."""
    access = required(find_project(request.user, slug))
    wanted = request.POST.getlist("events")
    many = "no mails" if not wanted else f"a mail when: {', '.join(wanted)}"
    done(
        request,
        lambda: choices.choose(access=access, events=wanted),
        f"From {access.name} you get {many}.",
    )
    return back_to_list(request, "messages")
