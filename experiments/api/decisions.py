"""Deciding: it makes champions, so the token needs the scope decide, its owner the role."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from experiments.api import asking, bodies
from experiments.api.decision_schemas import DecisionOut
from experiments.api.experiment_schemas import ReasonIn
from experiments.api.repetition_schemas import DecisionIn, RevertIn
from experiments.errors import NotFound
from experiments.queries import champion
from experiments.queries.access import project_record
from experiments.queries.baselines import newest_baseline
from experiments.queries.experiments import get_experiment
from experiments.queries.seeds import get_repetition, repetition_state
from experiments.services import baselines, champions
from experiments.services import decisions as services

router = Router(tags=["decisions"])
_DECIDED = {201: DecisionOut, **asking.WRITE_ERRORS}


@router.post(
    "/{slug}/experiments/{name}/decisions",
    response=_DECIDED,
    openapi_extra=bodies.described(DecisionIn),
)
def record_decision(request: HttpRequest, slug: str, name: str) -> Any:
    """Write a decision with its evidence frozen; evidence that changed since is refused.

    `repetition` is the newest one's first undecided candidate unless it is told.
    """
    access = asking.deciding(request, slug)
    experiment = get_experiment(access, name)
    asked = bodies.read(request, DecisionIn)
    newest = repetition_state(experiment.pk)
    number = asked.repetition or (newest.id if newest else None)
    replication = get_repetition(access, experiment, number) if number else None
    made = services.record(
        user=asking.person(request),
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


@router.post("/{slug}/revert", response=_DECIDED, openapi_extra=bodies.described(RevertIn))
def revert_champion(request: HttpRequest, slug: str) -> Any:
    """Make an earlier champion stand again; recorded as a decision of its own."""
    access = asking.deciding(request, slug)
    asked = bodies.read(request, RevertIn)
    made = champions.revert(
        user=asking.person(request), project=project_record(access), **asked.dict()
    )
    return Status(201, champion.as_document(made))


@router.post(
    "/{slug}/baseline/record", response=_DECIDED, openapi_extra=bodies.described(ReasonIn)
)
def record_baseline(request: HttpRequest, slug: str) -> Any:
    """Enter the baseline that has run as the project's first champion."""
    access = asking.deciding(request, slug)
    replication = newest_baseline(access)
    if replication is None:
        raise NotFound(f"{slug} has run no baseline.")
    reason = bodies.read(request, ReasonIn).reason
    made = baselines.record(user=asking.person(request), replication=replication, reason=reason)
    return Status(201, champion.as_document(made))
