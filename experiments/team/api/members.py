"""API of members and a project's settings."""

from __future__ import annotations

from collections.abc import Sequence

from ninja import Field, Router, Status

from experiments.team.api import auth
from experiments.team.queries.access import Member, member_of, members
from experiments.team.queries.changes import ChangeRow, changes_of
from experiments.team.queries.tokens import TokenRow, tokens_for
from experiments.team.services import members as services
from experiments.team.services import projects, tokens
from experiments.web import api_bodies
from experiments.web.api_schemas import (
    PAGED,
    Paged,
    PageNumber,
    Strict,
    Text,
    answer,
    paged,
    schema_of,
)
from experiments.web.pagination import PageOf
from experiments.web.requests import TokenRequest

router = Router(tags=["members"])
_TOKEN = schema_of(TokenRow, "ProjectToken", also="state")
_MAY_BE_NULL = "smallest_gain"


class MemberIn(Strict):
    username: Text
    role: Text = Field(default="viewer", description="viewer, editor, approver or admin")


class RoleIn(Strict):
    role: Text


class SettingsIn(Strict):
    """Settings; a field that is left out stays as it is."""

    name: Text | None = None
    margin: float | None = None
    smallest_gain: float | None = None
    targets: list[Text] | None = Field(default=None, max_length=100)
    reviews: Text | None = Field(
        default=None,
        description="Decisions that a second approver confirms: none, overrides, or adopts "
        "(overrides and every adopt)",
    )


@router.get(
    "/{slug}/members",
    response={200: answer("Members", members=[Member]), **auth.READ_ERRORS},
)
def list_members(request: TokenRequest, slug: str) -> dict[str, Sequence[Member]]:
    """Everyone in a project, the most powerful first."""
    access = auth.reading(request, slug)
    return {"members": members(access.project_id).rows}


@router.post(
    "/{slug}/members",
    response={201: schema_of(Member), **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(MemberIn),
)
def add_member(request: TokenRequest, slug: str) -> Status[Member]:
    """Make somebody who has an account a member."""
    access = auth.administering(request, slug)
    body = api_bodies.read(request, MemberIn).dict()
    made = services.add(access=access, **body)
    return Status(201, member_of(made))


@router.patch(
    "/{slug}/members/{username}",
    response={200: schema_of(Member), **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(RoleIn),
)
def change_member(request: TokenRequest, slug: str, username: str) -> Member:
    """Another role for a member; a project keeps an admin."""
    access = auth.administering(request, slug)
    return member_of(
        services.change_role(
            access=access,
            username=username,
            role=api_bodies.read(request, RoleIn).role,
        )
    )


@router.delete("/{slug}/members/{username}", response={204: None, **auth.WRITE_ERRORS})
def remove_member(request: TokenRequest, slug: str, username: str) -> Status[None]:
    """The person sees the project no longer; what they recorded stays."""
    access = auth.administering(request, slug)
    services.remove(access=access, username=username)
    return Status(204, None)


@router.put(
    "/{slug}/settings",
    response={204: None, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(SettingsIn),
)
def change_settings(request: TokenRequest, slug: str) -> Status[None]:
    """The project's name, the defaults of its experiments, its targets and its reviews."""
    access = auth.administering(request, slug)
    asked = api_bodies.read(request, SettingsIn).dict(exclude_unset=True)
    changed = {
        key: value for key, value in asked.items() if value is not None or key == _MAY_BE_NULL
    }
    current = {
        "name": access.name,
        "margin": access.margin,
        "smallest_gain": access.smallest_gain,
        "targets": access.targets,
        "reviews": access.reviews,
    }
    projects.change(
        access=access,
        **current | changed,  # type: ignore[arg-type]
    )
    return Status(204, None)


@router.post("/{slug}/seal", response={204: None, **auth.WRITE_ERRORS})
def seal_test_scores(request: TokenRequest, slug: str) -> Status[None]:
    """Seal the test scores of experiments that begin from now on; there is no way back."""
    projects.seal(access=auth.administering(request, slug))
    return Status(204, None)


@router.post("/{slug}/archive", response={204: None, **auth.WRITE_ERRORS})
def archive_project(request: TokenRequest, slug: str) -> Status[None]:
    """Take a project from lists, inbox and queue; what was recorded stays readable."""
    projects.archive(access=auth.administering(request, slug))
    return Status(204, None)


@router.post("/{slug}/bring-back", response={204: None, **auth.WRITE_ERRORS})
def bring_project_back(request: TokenRequest, slug: str) -> Status[None]:
    """List an archived project again."""
    projects.bring_back(access=auth.administering(request, slug))
    return Status(204, None)


@router.get(
    "/{slug}/changes",
    response={200: answer("Changes", changes=[ChangeRow], **PAGED), **auth.WRITE_ERRORS},
)
def list_changes(request: TokenRequest, slug: str, page: PageNumber = 1) -> Paged[ChangeRow]:
    """Changes of the project with their authors, the newest first; for admins."""
    access = auth.administering(request, slug, "read")
    found = changes_of(access, PageOf(page, exact=True))
    return paged("changes", found)


@router.get(
    "/{slug}/tokens",
    response={200: answer("ProjectTokens", tokens=[_TOKEN]), **auth.WRITE_ERRORS},
)
def list_project_tokens(request: TokenRequest, slug: str) -> dict[str, Sequence[TokenRow]]:
    """Everybody's tokens that open the project; for admins. An empty project means all of the
    owner's."""
    access = auth.administering(request, slug, "read")
    return {"tokens": tokens_for(access).rows}


@router.delete("/{slug}/tokens/{int:project_token}", response={204: None, **auth.WRITE_ERRORS})
def revoke_project_token(request: TokenRequest, slug: str, project_token: int) -> Status[None]:
    """Make a token that was made for the project useless at once."""
    tokens.revoke_in(access=auth.administering(request, slug), token_id=project_token)
    return Status(204, None)
