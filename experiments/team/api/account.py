"""The token's owner: who they are, and their tokens."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from ninja import Router, Status

from experiments.errors import NotFound
from experiments.team.api import auth
from experiments.team.queries.tokens import TokenRow, tokens_of
from experiments.team.services import tokens as services
from experiments.web.api_schemas import answer, schema_of
from experiments.web.requests import TokenRequest

router = Router(tags=["account"])
_WHO = answer("Who", username=str, project=str, scopes=list[str], expires_at=datetime | None)
_TOKENS = answer(
    "Tokens", tokens=[schema_of(TokenRow, without="owner", also="state", scopes=list[str])]
)


@router.get("", response={200: _WHO, **auth.READ_ERRORS})
def who_am_i(request: TokenRequest) -> Any:
    """In whose name the token acts, and what it may do."""
    token = auth.token_of(request)
    return {
        "username": token.owner.get_username(),
        "project": token.project.slug if token.project else "",
        "scopes": token.scopes.split(),
        "expires_at": token.expires_at,
    }


@router.get("/tokens", response={200: _TOKENS, **auth.READ_ERRORS})
def list_tokens(request: TokenRequest) -> Any:
    """The owner's tokens, those of one project for a token that opens only that one.

    A token is made on the account page alone, where a person logs in.
    """
    asked = auth.token_of(request)
    rows = [
        row
        for row in tokens_of(asked.owner).rows
        if asked.project is None or row.project == asked.project.slug
    ]
    return {
        "tokens": [
            asdict(row) | {"state": row.state, "scopes": row.scopes.split()} for row in rows
        ]
    }


@router.delete("/tokens/{int:token}", response={204: None, **auth.WRITE_ERRORS})
def revoke_token(request: TokenRequest, token: int) -> Any:
    """Make one of the owner's tokens useless at once; this one may be told its own id."""
    asked = auth.token_of(request, "write")
    if token >= 2**63 or (asked.project is not None and asked.pk != token):
        raise NotFound("There is no such token.")
    services.revoke(user=asked.owner, token_id=token)
    return Status(204, None)
