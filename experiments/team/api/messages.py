"""API of mail notifications, and of accepting invitations."""

from __future__ import annotations

from typing import Any

from ninja import Router, Status

from experiments.errors import NotAllowed
from experiments.team.api import auth
from experiments.team.api.member_schemas import InvitedOut, JoinedOut
from experiments.team.api.message_schemas import ChoicesOut, ChosenIn, ChosenOut
from experiments.team.queries.messages import choices_of
from experiments.team.queries.token_access import opens
from experiments.team.services import invitations, messages
from experiments.web import api_bodies
from experiments.web.requests import TokenRequest

router = Router(tags=["account"])


@router.get("/messages", response={200: ChoicesOut, **auth.READ_ERRORS})
def list_choices(request: TokenRequest) -> Any:
    """Every project that the token opens, with the events that the owner gets by mail."""
    token = auth.token_of(request)
    rows = choices_of(token.owner)
    return {"projects": [row for row in rows if opens(token, row.slug)]}


@router.put(
    "/messages/{slug}",
    response={200: ChosenOut, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(ChosenIn),
)
def choose_messages(request: TokenRequest, slug: str) -> Any:
    """Set the events of one project; whoever has no mail address is refused."""
    access = auth.writing(request, slug)
    events = api_bodies.read(request, ChosenIn).events
    held = messages.choose(access=access, events=events)
    return {"slug": slug, "name": access.name, "events": held}


@router.get("/invitations/{token}", response={200: InvitedOut, **auth.READ_ERRORS})
def read_invitation(request: TokenRequest, token: str) -> Any:
    """Target of an invitation link; `token` is its last part."""
    found = invitations.find(token)
    return {
        "project": found.project.name,
        "role": found.role,
        "invited_by": found.invited_by.get_username(),
        "expires_at": found.expires_at,
    }


@router.post("/invitations/{token}/accept", response={201: JoinedOut, **auth.WRITE_ERRORS})
def accept_invitation(request: TokenRequest, token: str) -> Any:
    """The token's owner joins. Whoever has no account yet follows the link in a browser."""
    asked = auth.token_of(request, "write")
    if asked.project_id is not None:
        raise NotAllowed("This token opens one project only; it joins no other.")
    joined = invitations.accept(user=asked.owner, token=token)
    return Status(201, {"project": joined.project.slug, "role": joined.role})
