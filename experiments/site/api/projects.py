"""Projects: which there are, what stands in them, and a new one."""

from __future__ import annotations

from typing import Any

from ninja import Router, Status

from experiments.decisions.queries import champions
from experiments.decisions.queries.chain_check import intact_log
from experiments.design.api.experiment_schemas import (
    ChampionsOut,
    ProjectIn,
    ProjectOut,
    ProjectsOut,
)
from experiments.errors import NotAllowed
from experiments.site.queries import projects
from experiments.team.api import auth
from experiments.team.queries.access import find_project, project_record
from experiments.team.queries.token_access import opens
from experiments.team.services import projects as services
from experiments.verdict.queries.current_champion import champion_of
from experiments.web import api_bodies
from experiments.web.api_schemas import ErrorOut
from experiments.web.requests import TokenRequest

router = Router(tags=["projects"])


@router.get("", response={200: ProjectsOut, **auth.READ_ERRORS})
def list_projects(request: TokenRequest) -> Any:
    """The projects that the token opens, with their champions."""
    token = auth.token_of(request)
    rows = projects.list_projects(token.owner)
    return {"projects": [row for row in rows if opens(token, row.slug)]}


@router.post(
    "",
    response={201: ProjectOut, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(ProjectIn),
)
def create_project(request: TokenRequest) -> Any:
    """Make a project; the token's owner is its first admin."""
    token = auth.token_of(request, "write")
    if token.project_id is not None:
        raise NotAllowed("This token opens one project only; it makes no other.")
    made = services.create(user=token.owner, **api_bodies.read(request, ProjectIn).dict())
    return Status(201, _project(find_project(token.owner, made.slug)))


@router.get("/{slug}", response={200: ProjectOut, **auth.READ_ERRORS, 409: ErrorOut})
def read_project(request: TokenRequest, slug: str) -> Any:
    """A project, its targets, and the champion for production.

    409 when the log that the champion stands in is not what was written.
    """
    access = auth.reading(request, slug)
    intact_log(project_record(access))
    return _project(access)


@router.get("/{slug}/champions", response={200: ChampionsOut, **auth.READ_ERRORS, 409: ErrorOut})
def read_champions(request: TokenRequest, slug: str) -> Any:
    """Every champion of every target since the baseline: which change brought what."""
    access = auth.reading(request, slug)
    intact_log(project_record(access))
    return {"targets": champions.champions_of(access)}


def _project(access: Any) -> dict[str, Any]:
    return {
        "slug": access.slug,
        "name": access.name,
        "official_metric": access.official_metric,
        "direction": access.direction,
        "margin": access.margin,
        "smallest_gain": access.smallest_gain,
        "role": access.role,
        "targets": access.targets,
        "champion": champion_of(access.project_id),
    }
