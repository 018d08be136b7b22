"""Replications over fresh seeds: declare, continue, read the evidence, measure variance."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from ninja import Router, Status
from pydantic import Field

from experiments.analysis.seeds.guards import Limit
from experiments.design.queries.experiments import get_experiment
from experiments.design.queries.records import AnyExperiment, ReplicationRecord
from experiments.team.api import auth
from experiments.team.queries.access import Access
from experiments.trials.table.queries.trial_detail import get_trial
from experiments.verdict.api.replication_schemas import (
    EvidenceOut,
    MeasureIn,
    PairsIn,
    ReplicationIn,
)
from experiments.verdict.evidence.evidence import Evidence, evaluate
from experiments.verdict.queries.replication_state import (
    ReplicationState,
    get_replication,
    replication_state,
)
from experiments.verdict.services import replications as services
from experiments.verdict.services import retrospective, variance
from experiments.web import api_bodies
from experiments.web.api_schemas import answer, schema_of
from experiments.web.requests import TokenRequest

router = Router(tags=["seeds"])
_PLACE = "/{slug}/experiments/{name}"
_ONE = _PLACE + "/repetitions/{int:replication}"
_STATE = schema_of(ReplicationState, also="complete")
_NEWEST = answer("Replications", replication=_STATE | None)
_PAIRS = answer("QueuedPairs", id=int, pairs_queued=int)
_QUEUED = {200: _PAIRS, **auth.WRITE_ERRORS}
Newest: TypeAlias = dict[str, ReplicationState | None]
Position = Annotated[int, Field(ge=0, le=100)]


@router.get(f"{_PLACE}/repetitions", response={200: _NEWEST, **auth.READ_ERRORS})
def read_replication(
    request: TokenRequest, slug: str, name: str, candidate: Position = 0
) -> Newest:
    """Read the newest replication; `candidate`: which of several, from 1."""
    access = auth.reading(request, slug)
    experiment = get_experiment(access, name)
    return {"replication": replication_state(experiment.pk, candidate)}


@router.post(
    f"{_PLACE}/repetitions",
    response={201: _NEWEST, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(ReplicationIn),
)
def declare_replication(request: TokenRequest, slug: str, name: str) -> Status[Newest]:
    """Fix what is compared and when it is looked at, and queue the pairs of the first look."""
    access = auth.writing(request, slug)
    experiment = get_experiment(access, name)
    asked = api_bodies.read(request, ReplicationIn)
    if asked.retrospective:
        retrospective.compare(
            access=access,
            experiment=experiment,
            candidate=_side(experiment, asked.candidate, tags=asked.tags),
            baseline=_side(experiment, asked.baseline, tags=asked.tags),
            margin=asked.margin,
        )
        return Status(201, {"replication": replication_state(experiment.pk)})
    services.declare(
        access=access,
        experiment=experiment,
        candidate_trial=get_trial(experiment, asked.candidate),
        further_candidates=[get_trial(experiment, further) for further in asked.further],
        baseline_trial=get_trial(experiment, asked.baseline) if asked.baseline else None,
        looks=asked.looks,
        margin=asked.margin,
        score_rule=asked.score_rule,
        guards=[Limit(guard.metric, guard.bound, guard.value) for guard in asked.guards],
    )
    return Status(201, {"replication": replication_state(experiment.pk)})


@router.get(_ONE, response={200: EvidenceOut, **auth.READ_ERRORS})
def read_evidence(request: TokenRequest, slug: str, name: str, replication: int) -> EvidenceOut:
    """Everything that a decision would rest on at this moment."""
    access = auth.reading(request, slug)
    experiment = get_experiment(access, name)
    return _evidence(evaluate(get_replication(access, experiment, replication)))


@router.post(f"{_ONE}/continue", response=_QUEUED)
def continue_replication(
    request: TokenRequest, slug: str, name: str, replication: int
) -> dict[str, int]:
    """Queue the pairs of the next declared look, after an undecided one."""
    access, declared = _writable(request, slug, name, replication)
    queued = services.continue_to_next_look(access=access, replication=declared)
    return {"id": queued.pk, "pairs_queued": queued.pairs_queued}


@router.post(f"{_ONE}/extra", response=_QUEUED, openapi_extra=api_bodies.described(PairsIn))
def add_extra_seeds(
    request: TokenRequest, slug: str, name: str, replication: int
) -> dict[str, int]:
    """Queue pairs beyond the declared looks; from then on all is called after peeking."""
    access, declared = _writable(request, slug, name, replication)
    pairs = api_bodies.read(request, PairsIn).pairs
    queued = services.add_extra_look(access=access, replication=declared, pairs=pairs)
    return {"id": queued.pk, "pairs_queued": queued.pairs_queued}


@router.post(f"{_ONE}/repeat", response={200: answer("Repeated", queued=int), **auth.WRITE_ERRORS})
def repeat_accidents(
    request: TokenRequest, slug: str, name: str, replication: int
) -> dict[str, int]:
    """Queue replicates that failed by accident again, with the same seeds."""
    access, declared = _writable(request, slug, name, replication)
    return {"queued": services.repeat_failed(access=access, replication=declared)}


@router.post(f"{_ONE}/open-test", response={200: EvidenceOut, **auth.WRITE_ERRORS})
def open_test_scores(request: TokenRequest, slug: str, name: str, replication: int) -> EvidenceOut:
    """Show the test scores; the opening is counted and frozen into the decision."""
    access, declared = _writable(request, slug, name, replication)
    services.open_test(access=access, replication=declared)
    return _evidence(evaluate(_writable(request, slug, name, replication)[1]))


@router.post(
    f"{_PLACE}/variance",
    response={201: _PAIRS, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(MeasureIn),
)
def measure_variance(request: TokenRequest, slug: str, name: str) -> Status[dict[str, int]]:
    """Queue the runs that measure one source of variance of a candidate."""
    access = auth.writing(request, slug)
    experiment = get_experiment(access, name)
    asked = api_bodies.read(request, MeasureIn)
    made = variance.measure(
        access=access,
        experiment=experiment,
        purpose=asked.purpose,
        runs=asked.runs,
        of=get_replication(access, experiment, asked.replication) if asked.replication else None,
    )
    return Status(201, {"id": made.pk, "pairs_queued": made.pairs_queued})


def _writable(
    request: TokenRequest, slug: str, name: str, replication: int
) -> tuple[Access, ReplicationRecord]:
    access = auth.writing(request, slug)
    return access, get_replication(access, get_experiment(access, name), replication)


def _side(experiment: AnyExperiment, name: str, *, tags: bool) -> int | str:
    """A tag, or the id of a trial's configuration; 0, which is none's, of a trial without one."""
    if tags:
        return name
    configuration = get_trial(experiment, name).configuration
    return configuration.pk if configuration else 0


def _evidence(found: Evidence) -> EvidenceOut:
    return EvidenceOut(
        id=found.replication.pk,
        outcome=found.outcome,
        waiting=found.waiting,
        state=found.state,
        evidence=found.document(),
    )
