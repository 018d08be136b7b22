"""The token's owner: who they are, and their tokens."""

from __future__ import annotations

from datetime import datetime

from ninja import Router, Schema, Status

from experiments.errors import NotFound
from experiments.team.api import auth
from experiments.team.queries.tokens import TokenRow, tokens_of
from experiments.team.services import tokens as services
from experiments.web.api_schemas import answer, schema_of
from experiments.web.requests import TokenRequest

router = Router(tags=["account"])
_TOKENS = answer("Tokens", tokens=[schema_of(TokenRow, without="owner", also="state")])


class Who(Schema):
    username: str
    project: str
    scopes: list[str]
    expires_at: datetime | None


@router.get("", response={200: Who, **auth.READ_ERRORS})
def who_am_i(request: TokenRequest) -> Who:
    """In whose name the token acts, and what it may do."""
    token = auth.token_of(request)
    return Who(
        username=token.owner.get_username(),
        project=token.project.slug if token.project else "",
        scopes=token.scopes.split(),
        expires_at=token.expires_at,
    )


@router.get("/tokens", response={200: _TOKENS, **auth.READ_ERRORS})
def list_tokens(request: TokenRequest) -> dict[str, list[TokenRow]]:
    """The owner's tokens, those of one project for a token that opens only that one.

    A token is made on the account page alone, where a person logs in.
    """
    asked = auth.token_of(request)
    rows = [
        row
        for row in tokens_of(asked.owner).rows
        if asked.project is None or row.project == asked.project.slug
    ]
    return {"tokens": rows}


@router.delete("/tokens/{int:token}", response={204: None, **auth.WRITE_ERRORS})
def revoke_token(request: TokenRequest, token: int) -> Status[None]:
    """Make one of the owner's tokens useless at once; this one may be told its own id."""
    asked = auth.token_of(request, "write")
    if token >= 2**63 or (asked.project is not None and asked.pk != token):
        raise NotFound("There is no such token.")
    services.revoke(user=asked.owner, token_id=token)
    return Status(204, None)
