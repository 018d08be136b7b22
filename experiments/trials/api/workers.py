"""API of worker nodes and their queues."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from ninja import Router, Schema

from experiments.team.api import auth
from experiments.team.queries.token_access import opens
from experiments.trials.lifecycle.queries import workers
from experiments.web.api_schemas import Number
from experiments.web.requests import TokenRequest

router = Router(tags=["workers"])


class RunningOut(Schema):
    """A running trial of a worker; names are empty where the owner may not see the project."""

    device: str
    started_at: datetime | None
    step: int | None
    project: str
    experiment: str
    name: str


class WorkerOut(Schema):
    name: str
    host: str
    queues: list[str]
    slots: int
    devices: list[str]
    state: str
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None
    running: list[RunningOut]


class QueueOut(Schema):
    """`oldest_at`: since when something waits while nothing of its experiment runs."""

    name: str
    depth: int
    running: int
    slots: int
    oldest_at: datetime | None
    seconds_left: Number


class WorkersOut(Schema):
    workers: list[WorkerOut]
    queues: list[QueueOut]


@router.get("", response={200: WorkersOut, **auth.READ_ERRORS})
def list_workers(request: TokenRequest) -> Any:
    """The nodes, what they run, and what waits in each queue.

    A token of one project is told the trials of that project alone.
    """
    token = auth.token_of(request)
    rows = [asdict(row) for row in workers.list_workers(token.owner)]
    for row in rows:
        for trial in row["running"]:
            if trial["project"] and not opens(token, trial["project"]):
                trial |= {"project": "", "experiment": "", "name": ""}
    return {"workers": rows, "queues": workers.list_queues()}
