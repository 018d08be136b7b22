"""Runs from anywhere: create, log in batches, finish, read back."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from django.http import StreamingHttpResponse
from ninja import Router, Status

from experiments.design import metrics
from experiments.errors import Conflict, NotAllowed, NotFound, Problem
from experiments.team.api import auth
from experiments.trials.api.run_schemas import (
    CreatedOut,
    FinishIn,
    ParamsIn,
    Points,
    PointsIn,
    RunIn,
)
from experiments.trials.lifecycle.queries import runs as queries
from experiments.trials.lifecycle.queries.runs import DeclaredReplication, RunView
from experiments.trials.lifecycle.services import run_changes, run_ends
from experiments.trials.lifecycle.services import runs as services
from experiments.trials.lifecycle.services.run_changes import Resumed
from experiments.trials.series import series_files
from experiments.trials.series.logged_points import InvalidPoints, LoggedPoints, read_points
from experiments.trials.series.queries import series_exports
from experiments.verdict.services import outside_replicates
from experiments.web import api_bodies
from experiments.web.api_schemas import ErrorOut, answer, schema_of
from experiments.web.requests import TokenRequest
from experiments.web.streaming import download

router = Router(tags=["runs"])
LARGEST = int(sys.float_info.max)  # charts and samplers compute with doubles
_OF_REPLICATES = {"replication", "side", "pair"}
_TOLD_OF_REPLICATES = _OF_REPLICATES | {
    "project", "experiment", "name", "params", "train_seed", "split_seed", "key"
}  # fmt: skip
_RUN = schema_of(RunView, "Run", without="official_metric declared from_outside role")
_ERRORS = dict.fromkeys((400, 401, 403, 404, 409, 413, 415, 422), ErrorOut)


def run_of(request: TokenRequest, run_id: int, *, write: bool = True) -> RunView:
    """The run behind an id.

    Raises:
        NotFound, NotAllowed, Conflict: when the token may not do this with it.
    """
    token = auth.token_of(request, "write" if write else "")
    run = queries.find(token, run_id) if run_id < 2**63 else None
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    if write and not run.may_write:
        raise NotAllowed(f"Only an editor of {run.project} may do this; your role is {run.role}.")
    if write and not run.from_outside:
        raise Conflict(f"Run {run_id} is run by a worker, which alone logs to it.")
    if write and run.state == "waiting":
        raise Conflict(f"Run {run_id} is not claimed: create it with its replication and side.")
    return run


@router.post(
    "",
    response={201: CreatedOut, 200: CreatedOut, **_ERRORS},
    openapi_extra=api_bodies.described(RunIn),
)
def create_run(request: TokenRequest) -> Status[CreatedOut]:
    """Start a run; its experiment is made with the first one."""
    auth.token_of(request, "write")
    asked = api_bodies.read(request, RunIn)
    if asked.replication is not None or asked.side is not None or asked.pair is not None:
        return _take_replicate(request, asked)
    access = auth.writing(request, asked.project)
    problems: list[Problem] = []
    declared = metrics.parse(asked.metrics, problems)
    problems += _beyond_doubles("params", asked.params)
    if problems:
        raise api_bodies.InvalidBody("The request has errors.", problems)
    new = services.NewRun(
        **asked.dict(exclude={"project", "metrics", "tags", *_OF_REPLICATES}),
        declared=declared,
        tags=tuple(asked.tags),
    )
    made = services.create(access=access, new=new)
    return Status(
        201 if made.new else 200,
        CreatedOut(
            id=made.run_id,
            number=made.number,
            experiment=asked.experiment,
            official_metric=access.official_metric,
            direction=access.direction,
        ),
    )


def _beyond_doubles(where: str, values: Mapping[str, Any]) -> list[Problem]:
    return [
        Problem(f"{where}.{name}", "is a number beyond all doubles; send it as text")
        for name, value in values.items()
        if isinstance(value, int) and not -LARGEST <= value <= LARGEST
    ]


def _take_replicate(request: TokenRequest, asked: RunIn) -> Status[CreatedOut]:
    """A run that is a replicate of a declared replication."""
    named = asked.model_fields_set
    problems = [
        Problem(name, "is missing: a replicate names its replication and its side")
        for name in ("replication", "side")
        if getattr(asked, name) is None
    ] + [
        Problem(name, "was fixed when the replication was declared; leave it out")
        for name in sorted(named - _TOLD_OF_REPLICATES)
        if getattr(asked, name)
    ]
    if problems:
        raise api_bodies.InvalidBody("The request has errors.", problems)
    access = auth.writing(request, asked.project)
    assert asked.replication is not None and asked.side is not None  # else a problem above
    taken = outside_replicates.claim(
        access=access,
        wanted=outside_replicates.ReplicateRequest(
            experiment=asked.experiment,
            replication=asked.replication,
            side=asked.side,
            pair=None if asked.pair is None else asked.pair - 1,
            train_seed=asked.train_seed,
            split_seed=asked.split_seed,
            params=asked.params or None,
            key=asked.key,
        ),
    )
    if asked.name and taken.new:
        run_changes.name_run(run_id=taken.run_id, name=asked.name)
    return Status(
        201 if taken.new else 200,
        CreatedOut(
            id=taken.run_id,
            number=taken.number,
            experiment=asked.experiment,
            official_metric=taken.official_metric,
            direction=taken.direction,
            params=dict(taken.parameters),
            side=asked.side,
            pair=taken.pair + 1,
            train_seed=taken.train_seed,
            split_seed=taken.split_seed,
        ),
    )


@router.get(
    "/repetitions/{int:replication}", response={200: schema_of(DeclaredReplication), **_ERRORS}
)
def read_replication(request: TokenRequest, replication: int) -> DeclaredReplication:
    """A replication: what it compares, and which replicates are open, with their seeds."""
    token = request.auth
    found = queries.find_replication(token, replication) if replication < 2**63 else None
    if found is None:
        raise NotFound(f"There is no replication {replication}.")
    return found


@router.get("/{int:run_id}", response={200: _RUN, **_ERRORS})
def read_run(request: TokenRequest, run_id: int) -> RunView:
    """Read a run's state."""
    return run_of(request, run_id, write=False)


@router.get(
    "/{int:run_id}/series.{kind}",
    openapi_extra=api_bodies.file(*series_files.CONTENT_TYPES.values()),
)
def read_series(
    request: TokenRequest, run_id: int, kind: Literal["csv", "parquet"]
) -> StreamingHttpResponse:
    """All points of a run, of a worker's trial, too, without test scores."""
    run = run_of(request, run_id, write=False)
    names = {run.id: str(run.number)}
    pieces = series_exports.exact(names, declared=run.declared)
    any_steps = partial(series_exports.may_have_any_steps, names)
    return download(
        series_files.write(pieces, kind, any_steps=any_steps),
        content_type=series_files.CONTENT_TYPES[kind],
        filename=f"{run.experiment} {run.number}.{kind}",
    )


@router.post(
    "/{int:run_id}/points",
    response={200: Points, **_ERRORS},
    openapi_extra=api_bodies.described(PointsIn),
)
def log_points(request: TokenRequest, run_id: int) -> Points:
    """Log a batch; without points it says that the program is still there."""
    run = run_of(request, run_id)
    asked = api_bodies.read(request, PointsIn)
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
    return Points(
        stored=stored,
        late=late,
        points=logged.points,
        stop=run.stop,
        skipped=logged.skipped,
    )


@router.post(
    "/{int:run_id}/params",
    response={200: answer("ParamsAdded", params=int), **_ERRORS},
    openapi_extra=api_bodies.described(ParamsIn),
)
def add_params(request: TokenRequest, run_id: int) -> dict[str, int]:
    """Record parameters that are known only after the run's start; none changes."""
    run = run_of(request, run_id)
    asked = api_bodies.read(request, ParamsIn)
    if problems := _beyond_doubles("params", asked.params):
        raise api_bodies.InvalidBody("The request has errors.", problems)
    run_changes.add_parameters(run_id=run.id, parameters=asked.params)
    return {"params": len(asked.params)}


@router.post("/{int:run_id}/resume", response={200: schema_of(Resumed), **_ERRORS})
def resume_run(request: TokenRequest, run_id: int) -> Resumed:
    """Go on with a run that runs, or whose program was ended or lost."""
    run = run_of(request, run_id)
    return run_changes.resume(run_id=run.id)


@router.post(
    "/{int:run_id}/finish",
    response={200: answer("Finished", state=str, value=float | None), **_ERRORS},
    openapi_extra=api_bodies.described(FinishIn),
)
def finish_run(request: TokenRequest, run_id: int) -> dict[str, str | float | None]:
    """End a run; the best official value that it logged counts unless it tells another."""
    run = run_of(request, run_id)
    asked = api_bodies.read(request, FinishIn)
    if problems := _beyond_doubles("summary", asked.summary):
        raise api_bodies.InvalidBody("The request has errors.", problems)
    state = run_ends.finish(
        run_id=run.id,
        state=asked.state,
        value=asked.value,
        reason=asked.reason,
        read_split_seed=asked.read_split_seed,
        summary=asked.summary,
    )
    ended = run_of(request, run_id)
    return {"state": state, "value": ended.value}
