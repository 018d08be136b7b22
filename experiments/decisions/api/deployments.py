"""API for deployments: champions and the log behind them."""

from __future__ import annotations

import json
from typing import Annotated
from urllib.parse import quote

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from ninja import Query, Router
from pydantic import StringConstraints

from experiments.decisions.api.decision_schemas import (
    ChampionOut,
    DecisionsOut,
    DecisionWithEvidenceOut,
    DeployedChampion,
    DeployedCheckpoint,
)
from experiments.decisions.queries import champion as champions
from experiments.decisions.queries.champion import Decision, DecisionDocument, DecisionWithEvidence
from experiments.decisions.queries.decisions import matching
from experiments.errors import Conflict, NotFound
from experiments.team.queries import token_access
from experiments.team.queries.token_access import Project
from experiments.trials.artifacts.queries import deployables
from experiments.trials.panels import file_downloads
from experiments.verdict.queries.chain_check import broken_log, intact_log, own_problems
from experiments.verdict.queries.noted_heads import Head
from experiments.web import api_bodies
from experiments.web.api_errors import error_response
from experiments.web.api_schemas import ErrorOut, PageNumber, PageSize, joined
from experiments.web.long_poll import LONGEST_WAIT, WORTH_WAITING
from experiments.web.requests import TokenRequest
from experiments.web.streaming import download

PAGE = 100
Wait = Annotated[
    int,
    Query(
        ge=0,
        le=LONGEST_WAIT,
        description="Seconds to wait while nothing changed since If-None-Match",
    ),
]
Word = Annotated[str, StringConstraints(max_length=200)]
_JSON_LINES = "application/jsonl"
HEAD = "Verdict-Log-Head"
_ERRORS = dict.fromkeys((400, 401, 404, 422), ErrorOut)

router = Router(tags=["deployments"])


def _project(request: TokenRequest, slug: str) -> Project:
    project = token_access.project_for(request.auth, slug)
    if project is None:
        raise NotFound(f"There is no project {slug}.")
    return project


def _unchanged(request: TokenRequest, response: HttpResponse, etag: str) -> HttpResponse | None:
    """The answer 304 for a client that has this already; sets the ETag of any other answer."""
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "private, no-cache"
    found = get_conditional_response(request, etag=etag)
    if found is None:
        return None
    answer = HttpResponse(status=304, headers={"ETag": etag, WORTH_WAITING: "1"})
    answer.headers[HEAD] = response.headers[HEAD]
    return answer


@router.get("/{slug}/champion", response={200: ChampionOut, 304: None, **_ERRORS, 409: ErrorOut})
def read_champion(
    request: TokenRequest,
    response: HttpResponse,
    slug: str,
    target: str = "production",
    wait: Wait = 0,
) -> HttpResponse | DeployedChampion:
    """The configuration to deploy. 404 before the first adopt; 409 when anything in the project's
    log was altered, moved or removed in the database, with the decision at fault.

    Send the ETag back as If-None-Match: the answer is 304 until another champion stands. With
    `wait` it is held back until then, or until so many seconds have gone by.
    """
    project = _project(request, slug)
    log = intact_log(project)
    decision = champions.champion(project, log, target)
    response.headers[HEAD] = f"{log.head.count}:{log.head.hash}"
    if decision is None or decision.candidate is None:
        answer = error_response(
            404, f"{slug} has no champion for {target} yet: nothing was adopted."
        )
        answer.headers[WORTH_WAITING] = "1"
        return answer
    same = _unchanged(request, response, f'W/"{decision.hash}"')
    return same or DeployedChampion(
        project=project.slug,
        target=target,
        configuration=json.loads(decision.candidate.document),
        digest=decision.candidate.digest,
        score=deployables.score_of(decision),
        code=champions.code_of(decision.candidate).packages,
        checkpoint=_checkpoint(request, target, decision),
        decision=champions.as_document(decision),
        head=log.head,
    )


def _checkpoint(
    request: TokenRequest, target: str, decision: Decision
) -> DeployedCheckpoint | None:
    found = deployables.checkpoint_of(decision)
    if found is None:
        return None
    where = f"{request.path.rstrip('/')}/checkpoint?target={quote(target)}&sha256={found.sha256}"
    return joined(DeployedCheckpoint, found, address=request.build_absolute_uri(where))


@router.get("/{slug}/champion/checkpoint", response={200: None, **_ERRORS, 409: ErrorOut})
def read_checkpoint(
    request: TokenRequest, slug: str, target: str = "production", sha256: str = ""
) -> HttpResponseBase:
    """The bytes of the champion's checkpoint; its SHA-256 is the ETag.

    409 when `sha256` is given and another champion stands by now.
    """
    project = _project(request, slug)
    decision = champions.champion(project, intact_log(project), target)
    found = deployables.checkpoint_of(decision) if decision else None
    if found is None:
        raise NotFound(f"{slug} has no checkpoint for {target}.")
    if sha256 and sha256 != found.sha256:
        raise Conflict("Another champion stands by now; read it again.")
    filename = f"{slug}-{target}.checkpoint"
    return file_downloads.sent(deployables.path_of(found), found.sha256, filename=filename)


@router.get(
    "/{slug}/decisions",
    response={200: DecisionsOut, 304: None, **_ERRORS, 409: ErrorOut},
)
def list_decisions(
    request: TokenRequest,
    response: HttpResponse,
    slug: str,
    target: str = "",
    choice: Word = "",
    q: Word = "",
    page: PageNumber = 1,
    per_page: PageSize = PAGE,
    wait: Wait = 0,
) -> HttpResponse | dict[str, list[DecisionDocument] | int | Head]:
    """The log, newest first, a hundred a page unless told. ETag and `wait` as for the champion.

    `choice` (adopt, reject, ...) and `q` (words of reason, experiment or person) narrow it.
    """
    project = _project(request, slug)
    head = intact_log(project).head
    response.headers[HEAD] = f"{head.count}:{head.hash}"
    same = _unchanged(request, response, f'W/"{head.count}-{head.hash}"')
    if same is not None:
        return same
    found = matching(champions.decisions(project, target), choice=choice, text=q.strip())
    start = (page - 1) * per_page
    return {
        "decisions": [
            champions.as_document(decision) for decision in found[start : start + per_page]
        ],
        "total": found.count(),
        "head": head,
    }


@router.get("/{slug}/decisions.jsonl", openapi_extra=api_bodies.file(_JSON_LINES))
def read_log(request: TokenRequest, slug: str) -> StreamingHttpResponse:
    """The whole log with its evidence, a JSON object a line, oldest first: enough to check the
    chain of hashes."""
    project = _project(request, slug)
    intact_log(project, cached=False)
    lines = champions.exported(project)
    return download(
        (f"{line}\n".encode() for line in lines),
        content_type=f"{_JSON_LINES}; charset=utf-8",
        filename=f"{slug}-decisions.jsonl",
    )


@router.get(
    "/{slug}/decisions/{int:sequence}",
    response={200: DecisionWithEvidenceOut, **_ERRORS, 409: ErrorOut},
)
def read_decision(request: TokenRequest, slug: str, sequence: int) -> DecisionWithEvidence:
    """One decision with the evidence as it was when the button was pressed."""
    project = _project(request, slug)
    intact_log(project)
    found = champions.decisions(project).filter(sequence=sequence).first()
    if found is None:
        raise NotFound(f"{slug} has no decision {sequence}.")
    if problems := own_problems(found):
        raise broken_log(slug, problems)
    return champions.with_evidence(found)
