"""Deciding: it makes champions, so the token needs the scope decide, its owner the role."""

from __future__ import annotations

from typing import Any

from ninja import Router, Status

from experiments.decisions.api.decision_schemas import DecisionIn, DecisionOut, RevertIn
from experiments.decisions.queries import champion
from experiments.decisions.queries.baselines import newest_baseline
from experiments.decisions.services import baselines, champions
from experiments.decisions.services import decisions as services
from experiments.design.api.experiment_schemas import ReasonIn
from experiments.design.queries.experiments import get_experiment
from experiments.errors import NotFound
from experiments.team.api import auth
from experiments.verdict.queries.replication_state import get_replication, replication_state
from experiments.web import api_bodies
from experiments.web.requests import TokenRequest

router = Router(tags=["decisions"])
_DECIDED = {201: DecisionOut, **auth.WRITE_ERRORS}


@router.post(
    "/{slug}/experiments/{name}/decisions",
    response=_DECIDED,
    openapi_extra=api_bodies.described(DecisionIn),
)
def record_decision(request: TokenRequest, slug: str, name: str) -> Any:
    """Write a decision with its evidence frozen; evidence that changed since is refused.

    `replication` is the newest one's first undecided candidate unless it is told.
    """
    access = auth.deciding(request, slug)
    experiment = get_experiment(access, name)
    asked = api_bodies.read(request, DecisionIn)
    newest = replication_state(experiment.pk)
    number = asked.replication or (newest.id if newest else None)
    replication = get_replication(access, experiment, number) if number else None
    made = services.record(
        access=access,
        experiment=experiment,
        choice=asked.choice,
        reason=asked.reason,
        replication=replication,
        state=asked.state,
        override=asked.override,
        target=asked.target,
        checkpoint=asked.checkpoint,
    )
    return Status(201, champion.as_document(made))


@router.post("/{slug}/revert", response=_DECIDED, openapi_extra=api_bodies.described(RevertIn))
def revert_champion(request: TokenRequest, slug: str) -> Any:
    """Make an earlier champion stand again; recorded as a decision of its own."""
    access = auth.deciding(request, slug)
    asked = api_bodies.read(request, RevertIn)
    made = champions.revert(access=access, **asked.dict())
    return Status(201, champion.as_document(made))


@router.post(
    "/{slug}/baseline/record", response=_DECIDED, openapi_extra=api_bodies.described(ReasonIn)
)
def record_baseline(request: TokenRequest, slug: str) -> Any:
    """Enter the baseline that has run as the project's first champion."""
    access = auth.deciding(request, slug)
    replication = newest_baseline(access)
    if replication is None:
        raise NotFound(f"{slug} has run no baseline.")
    reason = api_bodies.read(request, ReasonIn).reason
    made = baselines.record(access=access, replication=replication, reason=reason)
    return Status(201, champion.as_document(made))
