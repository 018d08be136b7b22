"""The HTTP API for programs: tokens instead of sessions, the same queries as the pages."""

from __future__ import annotations

import json
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import NinjaAPI, Query
from ninja.security import HttpBearer

from experiments.api import errors
from experiments.api.schemas import (
    ChampionOut,
    DecisionsOut,
    DecisionWithEvidenceOut,
    ErrorOut,
)
from experiments.errors import NotFound
from experiments.queries import champion as champions
from experiments.queries import token_access
from experiments.queries.token_access import ApiToken, Project
from experiments.services import tokens as token_services

PAGE = 100
Page = Annotated[int, Query(ge=1, le=10**6)]


class TokenAuth(HttpBearer):
    """`Authorization: Bearer TOKEN`, a token made on the account page."""

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        found = token_access.find(token_services.digest(token))
        if found is not None:
            token_services.touch(token=found)
        return found


api = NinjaAPI(
    title="Verdict",
    version="1",
    description="Champions and decisions for deployments.",
    auth=TokenAuth(),
    docs_url=None,
    urls_namespace="api",
)
errors.install(api)

_ERRORS = {401: ErrorOut, 404: ErrorOut, 422: ErrorOut}


def _project(request: HttpRequest, slug: str) -> Project:
    project = token_access.project_for(request.auth, slug)  # type: ignore[attr-defined]
    if project is None:
        raise NotFound(f"There is no project {slug}.")
    return project


@api.get("/projects/{slug}/champion", response={200: ChampionOut, **_ERRORS})
def read_champion(request: HttpRequest, slug: str, target: str = "production") -> dict[str, Any]:
    """The configuration to deploy. 404 before the first adopt."""
    project = _project(request, slug)
    decision = champions.champion(project, target)
    if decision is None or decision.candidate is None:
        raise NotFound(f"{slug} has no champion for {target} yet: nothing was adopted.")
    return {
        "project": project.slug,
        "target": target,
        "configuration": json.loads(decision.candidate.document),
        "digest": decision.candidate.digest,
        "decision": champions.as_document(decision),
        "head": _head(project),
    }


@api.get("/projects/{slug}/decisions", response={200: DecisionsOut, **_ERRORS})
def list_decisions(
    request: HttpRequest, slug: str, target: str = "", page: Page = 1
) -> dict[str, Any]:
    """The log, newest first, a hundred a page."""
    project = _project(request, slug)
    found = champions.decisions(project, target)
    start = (page - 1) * PAGE
    return {
        "decisions": [champions.as_document(each) for each in found[start : start + PAGE]],
        "total": found.count(),
        "head": _head(project),
    }


@api.get(
    "/projects/{slug}/decisions/{int:sequence}",
    response={200: DecisionWithEvidenceOut, **_ERRORS},
)
def read_decision(request: HttpRequest, slug: str, sequence: int) -> dict[str, Any]:
    """One decision with the evidence as it was when the button was pressed."""
    found = champions.decisions(_project(request, slug)).filter(sequence=sequence).first()
    if found is None:
        raise NotFound(f"{slug} has no decision {sequence}.")
    return {**champions.as_document(found), "evidence": json.loads(found.evidence)}


def _head(project: Project) -> dict[str, Any]:
    count, newest = champions.head(project)
    return {"count": count, "hash": newest}
