"""Work under way: limits while it runs, handing back, ending a trial, all failed ones again."""

from __future__ import annotations

from django.db import transaction
from ninja import Router, Status

from experiments.design.api.experiment_schemas import DoneOut
from experiments.design.queries.experiments import get_experiment
from experiments.design.queries.records import ExperimentRecord
from experiments.errors import Conflict
from experiments.team.api import auth
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.services import control as services
from experiments.trials.table.queries.trial_detail import get_trial
from experiments.web import api_bodies
from experiments.web.api_schemas import Strict, answer
from experiments.web.requests import TokenRequest

router = Router(tags=["control"])
_PLACE = "/{slug}/experiments/{name}"


class LimitsIn(Strict):
    """`gpu_hours` null: no cap of the experiment's own."""

    parallel: int | None = None
    priority: int | None = None
    gpu_hours: float | None = None
    per_arm: int | None = None


@router.put(
    f"{_PLACE}/limits",
    response={200: DoneOut, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(LimitsIn),
)
def change_limits(request: TokenRequest, slug: str, name: str) -> dict[str, str]:
    """Change trials at a time, priority, cap on GPU hours and budget, also while it runs.

    Trials that run now go on. What is left out stays as it is.
    """
    access, experiment = _run_by_workers(request, slug, name)
    asked = api_bodies.read(request, LimitsIn).dict(exclude_unset=True)
    per_arm = asked.pop("per_arm", None)
    with transaction.atomic():  # all of it or nothing
        if per_arm is not None:
            services.set_budget(access=access, experiment=experiment, per_arm=per_arm)
        services.change(access=access, experiment=experiment, **asked)
    return {"name": experiment.name, "state": experiment.state}


@router.post(f"{_PLACE}/hand-back", response={200: DoneOut, **auth.WRITE_ERRORS})
def hand_back(request: TokenRequest, slug: str, name: str) -> dict[str, str]:
    """Pause, and give running trials back to the queue, to be resumed later."""
    access, experiment = _run_by_workers(request, slug, name)
    services.pause(access=access, experiment=experiment, hand_back=True)
    return {"name": name, "state": "paused"}


@router.post(
    f"{_PLACE}/retry-failed", response={200: answer("Added", added=int), **auth.WRITE_ERRORS}
)
def retry_failed(request: TokenRequest, slug: str, name: str) -> dict[str, int]:
    """Queue all trials again that failed by accident."""
    access, experiment = _run_by_workers(request, slug, name)
    return {"added": services.retry_failed(access=access, experiment=experiment)}


@router.post(_PLACE + "/trials/{trial}/cancel", response={204: None, **auth.WRITE_ERRORS})
def cancel_trial(request: TokenRequest, slug: str, name: str, trial: str) -> Status[None]:
    """End one trial now, without a result; a worker hears of it within seconds."""
    access = auth.writing(request, slug)
    experiment = get_experiment(access, name)
    services.cancel(access=access, trial=get_trial(experiment, trial))
    return Status(204, None)


def _run_by_workers(
    request: TokenRequest, slug: str, name: str
) -> tuple[Access, ExperimentRecord]:
    access = auth.writing(request, slug)
    experiment = get_experiment(access, name)
    if not experiment.source:
        raise Conflict("A program described this experiment; only that program runs its trials.")
    return access, experiment
