"""API schemas of members, invitations, settings and tokens."""

from __future__ import annotations

from datetime import datetime

from ninja import Field, Schema

from experiments.web.api_schemas import Strict, Text


class MemberIn(Strict):
    username: Text
    role: Text = Field(default="viewer", description="viewer, editor, approver or admin")


class RoleIn(Strict):
    role: Text


class InvitationIn(Strict):
    role: Text = "viewer"
    email: Text = ""


class SettingsIn(Strict):
    """Settings; a field that is left out stays as it is."""

    name: Text | None = None
    margin: float | None = None
    smallest_gain: float | None = None
    targets: list[Text] | None = Field(default=None, max_length=100)


class MemberOut(Schema):
    username: str
    name: str
    role: str


class MembersOut(Schema):
    members: list[MemberOut]


class InvitationOut(Schema):
    id: int
    role: str
    email: str
    invited_by: str
    created_at: datetime
    expires_at: datetime


class InvitationMadeOut(InvitationOut):
    """`link` makes whoever follows it a member, once; it is told this once."""

    link: str


class InvitationsOut(Schema):
    invitations: list[InvitationOut]


class TokenOut(Schema):
    """A token of one's own; its text was shown once, when it was made."""

    id: int
    name: str
    prefix: str
    project: str
    scopes: list[str]
    state: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class TokensOut(Schema):
    tokens: list[TokenOut]


class WhoOut(Schema):
    """In whose name this token acts, and what it may do."""

    username: str
    project: str
    scopes: list[str]
    expires_at: datetime | None
