"""API of worker nodes and their queues."""

from __future__ import annotations

from dataclasses import replace

from ninja import Router

from experiments.team.api import auth
from experiments.team.queries.token_access import ApiToken, opens
from experiments.trials.lifecycle.queries import workers
from experiments.trials.lifecycle.queries.workers import QueueRow, RunningTrial, WorkerRow
from experiments.web.api_schemas import answer
from experiments.web.requests import TokenRequest

router = Router(tags=["workers"])
_WORKERS = answer("Workers", workers=[WorkerRow], queues=[QueueRow])


@router.get("", response={200: _WORKERS, **auth.READ_ERRORS})
def list_workers(request: TokenRequest) -> dict[str, tuple[WorkerRow, ...] | tuple[QueueRow, ...]]:
    """The nodes, what they run, and what waits in each queue.

    A token of one project is told the trials of that project alone.
    """
    token = auth.token_of(request)
    rows = workers.list_workers(token.owner).rows
    shown = tuple(
        replace(row, running=tuple(_told(trial, token) for trial in row.running)) for row in rows
    )
    return {"workers": shown, "queues": workers.list_queues()}


def _told(trial: RunningTrial, token: ApiToken) -> RunningTrial:
    if not trial.project or opens(token, trial.project):
        return trial
    return replace(trial, project="", experiment="", name="")
