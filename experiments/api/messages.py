"""What reaches the token's owner by mail, and following an invitation."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from experiments.api import asking, bodies
from experiments.api.member_schemas import InvitedOut, JoinedOut
from experiments.api.message_schemas import ChoicesOut, ChosenIn, ChosenOut
from experiments.errors import NotAllowed
from experiments.queries.access import project_record
from experiments.queries.messages import choices_of
from experiments.queries.token_access import opens
from experiments.services import invitations, messages

router = Router(tags=["account"])


@router.get("/messages", response={200: ChoicesOut, **asking.READ_ERRORS})
def list_choices(request: HttpRequest) -> Any:
    """Every project that the token opens, with the events that the owner gets by mail."""
    token = asking.token_of(request)
    rows = choices_of(token.owner)
    return {"projects": [row for row in rows if opens(token, row.slug)]}


@router.put(
    "/messages/{slug}",
    response={200: ChosenOut, **asking.WRITE_ERRORS},
    openapi_extra=bodies.described(ChosenIn),
)
def choose_messages(request: HttpRequest, slug: str) -> Any:
    """Set the events of one project; whoever has no mail address is refused."""
    access = asking.writing(request, slug)
    events = bodies.read(request, ChosenIn).events
    user = asking.person(request)
    held = messages.choose(user=user, project=project_record(access), events=events)
    return {"slug": slug, "name": access.name, "events": held}


@router.get("/invitations/{token}", response={200: InvitedOut, **asking.READ_ERRORS})
def read_invitation(request: HttpRequest, token: str) -> Any:
    """What a link invites to; `token` is its last part."""
    found = invitations.find(token)
    return {
        "project": found.project.name,
        "role": found.role,
        "invited_by": found.invited_by.get_username(),
        "expires_at": found.expires_at,
    }


@router.post("/invitations/{token}/accept", response={201: JoinedOut, **asking.WRITE_ERRORS})
def accept_invitation(request: HttpRequest, token: str) -> Any:
    """The token's owner joins. Whoever has no account yet follows the link in a browser."""
    asked = asking.token_of(request, "write")
    if asked.project_id is not None:
        raise NotAllowed("This token opens one project only; it joins no other.")
    joined = invitations.accept(user=asked.owner, token=token)
    return Status(201, {"project": joined.project.slug, "role": joined.role})
