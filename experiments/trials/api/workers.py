"""API of worker nodes and their queues."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ninja import Router

from experiments.team.api import auth
from experiments.team.queries.token_access import opens
from experiments.trials.lifecycle.queries import workers
from experiments.trials.lifecycle.queries.workers import QueueRow, WorkerRow
from experiments.web.api_schemas import answer
from experiments.web.requests import TokenRequest

router = Router(tags=["workers"])
_WORKERS = answer("Workers", workers=[WorkerRow], queues=[QueueRow])


@router.get("", response={200: _WORKERS, **auth.READ_ERRORS})
def list_workers(request: TokenRequest) -> Any:
    """The nodes, what they run, and what waits in each queue.

    A token of one project is told the trials of that project alone.
    """
    token = auth.token_of(request)
    rows = [asdict(row) for row in workers.list_workers(token.owner).rows]
    for row in rows:
        for trial in row["running"]:
            if trial["project"] and not opens(token, trial["project"]):
                trial |= {"project": "", "experiment": "", "name": ""}
    return {"workers": rows, "queues": workers.list_queues()}
