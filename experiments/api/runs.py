"""Runs from anywhere: create, log in batches, finish, read back."""

from __future__ import annotations

import time
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema, Status

from experiments import metrics, series_files
from experiments.api import bodies
from experiments.api.run_schemas import (
    CreatedOut,
    FinishedOut,
    FinishIn,
    PointsIn,
    PointsOut,
    RunIn,
    RunOut,
)
from experiments.api.schemas import ErrorOut
from experiments.errors import Conflict, NotAllowed, NotFound, Problem
from experiments.logged_points import InvalidPoints, LoggedPoints, read_points
from experiments.queries import runs as queries
from experiments.queries import series_exports, token_access
from experiments.queries.runs import RunView
from experiments.services import runs as services
from experiments.streaming import download

router = Router(tags=["runs"])
_ERRORS = dict.fromkeys((400, 401, 403, 404, 409, 413, 415, 422), ErrorOut)


def _body(schema: type[Schema]) -> dict[str, Any]:
    """The OpenAPI entry of a body that is read by `bodies.read`."""
    document = schema.model_json_schema(ref_template="#/components/schemas/{model}")
    document.pop("$defs", None)
    return {"requestBody": {"content": {"application/json": {"schema": document}}}}


def _require_write(request: HttpRequest) -> Any:
    token = request.auth  # type: ignore[attr-defined]
    if "write" not in token.scopes.split():
        raise NotAllowed("This token may only read; make one with the scope write.")
    return token


def _run(request: HttpRequest, run_id: int, *, write: bool = True) -> RunView:
    token = _require_write(request) if write else request.auth  # type: ignore[attr-defined]
    run = queries.find(token, run_id) if run_id < 2**63 else None
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    if write and not run.may_write:
        raise NotAllowed(f"Only an editor of {run.project} may do this; your role is {run.role}.")
    if write and not run.from_outside:
        raise Conflict(f"Run {run_id} is run by a worker, which alone logs to it.")
    return run


@router.post(
    "", response={201: CreatedOut, 200: CreatedOut, **_ERRORS}, openapi_extra=_body(RunIn)
)
def create_run(request: HttpRequest) -> Status[dict[str, Any]]:
    """Start a run; its experiment is made with the first one."""
    token = _require_write(request)
    asked = bodies.read(request, RunIn)
    project = token_access.project_for(token, asked.project)
    if project is None:
        raise NotFound(f"There is no project {asked.project}.")
    problems: list[Problem] = []
    declared = metrics.parse(asked.metrics, problems)
    if asked.experiment == "new":
        problems.append(Problem("experiment", "new is the address of a form; choose another"))
    if problems:
        raise bodies.InvalidBody("The request has errors.", problems)
    new = services.NewRun(
        **asked.dict(exclude={"project", "metrics", "tags"}),
        declared=declared,
        tags=tuple(asked.tags),
    )
    made = services.create(user=token.owner, project=project, new=new)
    return Status(
        201 if made.new else 200,
        {
            "id": made.run_id,
            "number": made.number,
            "experiment": asked.experiment,
            "official_metric": project.official_metric,
            "direction": project.direction,
        },
    )


@router.get("/{int:run_id}", response={200: RunOut, **_ERRORS})
def read_run(request: HttpRequest, run_id: int) -> dict[str, Any]:
    """Where a run stands."""
    run = _run(request, run_id, write=False)
    return {
        "id": run.id,
        "project": run.project,
        "experiment": run.experiment,
        "number": run.number,
        "state": run.state,
        "value": run.value,
        "stop": run.stop_requested,
    }


@router.get("/{int:run_id}/series.{kind}", openapi_extra={"responses": {200: {}}})
def read_series(request: HttpRequest, run_id: int, kind: Literal["csv", "parquet"]) -> Any:
    """All points of a run, of a worker's trial, too, without test scores."""
    run = _run(request, run_id, write=False)
    pieces = series_exports.exact({run.id: str(run.number)}, declared=run.declared)
    return download(
        request,
        series_files.write(pieces, kind),
        content_type=series_files.CONTENT_TYPES[kind],
        filename=f"{run.experiment} {run.number}.{kind}",
    )


@router.post(
    "/{int:run_id}/points", response={200: PointsOut, **_ERRORS}, openapi_extra=_body(PointsIn)
)
def log_points(request: HttpRequest, run_id: int) -> dict[str, Any]:
    """Log a batch; without points it says that the program is still there."""
    run = _run(request, run_id)
    asked = bodies.read(request, PointsIn)
    stored = late = False
    logged = LoggedPoints()
    if asked.points:
        if asked.batch is None:
            raise InvalidPoints(
                "A batch has a number.",
                [Problem("batch", "is missing; count from 0, the same number when you try again")],
            )
        logged = read_points(asked.points, run.declared, now_ms=time.time_ns() // 1_000_000)
        appended = services.log(
            run_id=run.id,
            official_metric=run.official_metric,
            batch=asked.batch,
            logged=logged,
        )
        stored, late = appended.stored, not appended.alive
    else:
        services.keep_alive(run_id=run.id)
    return {
        "stored": stored,
        "late": late,
        "points": logged.points,
        "stop": run.stop_requested,
        "skipped": [{"where": each.where, "message": each.message} for each in logged.skipped],
    }


@router.post(
    "/{int:run_id}/finish", response={200: FinishedOut, **_ERRORS}, openapi_extra=_body(FinishIn)
)
def finish_run(request: HttpRequest, run_id: int) -> dict[str, Any]:
    """End a run; the best official value that it logged counts unless it tells another."""
    run = _run(request, run_id)
    asked = bodies.read(request, FinishIn)
    state = services.finish(
        run_id=run.id, state=asked.state, value=asked.value, reason=asked.reason
    )
    ended = _run(request, run_id)
    return {"state": state, "value": ended.value}
