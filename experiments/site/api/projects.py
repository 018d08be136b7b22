"""Projects: which there are, what stands in them, and a new one."""

from __future__ import annotations

from dataclasses import dataclass

from ninja import Field, Router, Status

from experiments.decisions.queries import champions
from experiments.decisions.queries.champions import TargetChampions
from experiments.errors import NotAllowed
from experiments.site.queries import projects
from experiments.site.queries.projects import ProjectRow
from experiments.team.api import auth
from experiments.team.queries.access import Access, get_project, project_record
from experiments.team.queries.token_access import opens
from experiments.team.services import projects as services
from experiments.verdict.queries.chain_check import broken_log, intact_log
from experiments.verdict.queries.current_champion import Champion, champion_of
from experiments.web import api_bodies
from experiments.web.api_schemas import ErrorOut, Strict, Text, answer, joined, schema_of
from experiments.web.requests import TokenRequest

router = Router(tags=["projects"])
_ROW = schema_of(
    ProjectRow,
    without="under_way champions decided to_decide proposals can_decide log_problems",
)
_CHAMPIONS = answer(
    "Champions",
    targets=[schema_of(TargetChampions, without="page current_digest", also="periods")],
)


@dataclass(frozen=True, slots=True)
class Project(Access):
    """A project as the token's owner meets it, with its champion for production."""

    champion: Champion | None


_PROJECT = schema_of(Project, without="user project_id")


class ProjectIn(Strict):
    slug: Text
    name: Text
    official_metric: Text
    direction: str = Field(default="maximize", description="minimize or maximize")
    margin: float = 0.0
    smallest_gain: float | None = None


@router.get(
    "", response={200: answer("Projects", projects=[_ROW]), **auth.READ_ERRORS, 409: ErrorOut}
)
def list_projects(request: TokenRequest) -> dict[str, list[ProjectRow]]:
    """The projects that the token opens, with their champions.

    409 when the log of one of them was altered.
    """
    token = auth.token_of(request)
    rows = [row for row in projects.list_projects(token.owner).rows if opens(token, row.slug)]
    for row in rows:
        if row.log_problems:
            raise broken_log(row.slug, row.log_problems)
    return {"projects": rows}


@router.post(
    "",
    response={201: _PROJECT, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(ProjectIn),
)
def create_project(request: TokenRequest) -> Status[Project]:
    """Make a project; the token's owner is its first admin."""
    token = auth.token_of(request, "write")
    if token.project_id is not None:
        raise NotAllowed("This token opens one project only; it makes no other.")
    made = services.create(user=token.owner, **api_bodies.read(request, ProjectIn).dict())
    return Status(201, _project(get_project(token.owner, made.slug)))


@router.get("/{slug}", response={200: _PROJECT, **auth.READ_ERRORS, 409: ErrorOut})
def read_project(request: TokenRequest, slug: str) -> Project:
    """A project, its targets, and the champion for production.

    409 when the log that the champion stands in was altered.
    """
    access = auth.reading(request, slug)
    intact_log(project_record(access))
    return _project(access)


@router.get("/{slug}/champions", response={200: _CHAMPIONS, **auth.READ_ERRORS, 409: ErrorOut})
def read_champions(request: TokenRequest, slug: str) -> dict[str, tuple[TargetChampions, ...]]:
    """Every champion of every target since the baseline: which change brought what."""
    access = auth.reading(request, slug)
    intact_log(project_record(access))
    return {"targets": champions.champions_of(access)}


def _project(access: Access) -> Project:
    return joined(Project, access, champion=champion_of(access.project_id))
