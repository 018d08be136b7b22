"""The baseline that a project begins with: run over seeds, or known from before."""

from __future__ import annotations

from ninja import Router, Status

from experiments.decisions.api.decision_schemas import (
    BaselineIn,
    BaselineOut,
    DecisionOut,
    KnownBaselineIn,
)
from experiments.decisions.queries import baseline_evidence, champion
from experiments.decisions.queries.baselines import newest_baseline
from experiments.decisions.queries.champion import DecisionDocument
from experiments.decisions.services import baselines as services
from experiments.errors import NotFound
from experiments.team.api import auth
from experiments.team.queries.access import Access
from experiments.verdict.services import replications
from experiments.web import api_bodies
from experiments.web.api_schemas import answer
from experiments.web.plain_json import plain
from experiments.web.requests import TokenRequest

router = Router(tags=["baseline"])


@router.get("/{slug}/baseline", response={200: BaselineOut, **auth.READ_ERRORS})
def read_baseline(request: TokenRequest, slug: str) -> BaselineOut:
    """The baseline that ran last, with the scores of its seeds."""
    return _baseline(auth.reading(request, slug))


@router.post(
    "/{slug}/baseline",
    response={201: BaselineOut, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(BaselineIn),
)
def start_baseline(request: TokenRequest, slug: str) -> Status[BaselineOut]:
    """Queue one configuration over fresh seeds."""
    access = auth.writing(request, slug)
    asked = api_bodies.read(request, BaselineIn)
    services.start(
        access=access,
        text=asked.text.replace("\r\n", "\n"),
        seeds=asked.seeds,
    )
    return Status(201, _baseline(access))


@router.post(
    "/{slug}/baseline/repeat", response={200: answer("Repeated", queued=int), **auth.WRITE_ERRORS}
)
def repeat_baseline(request: TokenRequest, slug: str) -> dict[str, int]:
    """Queue seeds that failed by accident again."""
    access = auth.writing(request, slug)
    replication = newest_baseline(access)
    if replication is None:
        raise NotFound(f"{slug} has run no baseline.")
    return {"queued": replications.repeat_failed(access=access, replication=replication)}


@router.post(
    "/{slug}/baseline/known",
    response={201: DecisionOut, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(KnownBaselineIn),
)
def enter_known_baseline(request: TokenRequest, slug: str) -> Status[DecisionDocument]:
    """Enter a model from before with its known scores; that is a decision."""
    access = auth.deciding(request, slug)
    made = services.enter_known(
        access=access,
        **api_bodies.read(request, KnownBaselineIn).dict(),
    )
    return Status(201, champion.as_document(made))


def _baseline(access: Access) -> BaselineOut:
    replication = newest_baseline(access)
    if replication is None:
        return BaselineOut(experiment="", replication=None, pairs_queued=0, evidence=None)
    return BaselineOut(
        experiment=replication.experiment.name,
        replication=replication.pk,
        pairs_queued=replication.pairs_queued,
        evidence=plain(baseline_evidence.evaluate(replication).document()),
    )
