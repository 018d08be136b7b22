"""The baseline that a project begins with: run over seeds, or known from before."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from experiments.api import asking, bodies
from experiments.api.decision_schemas import DecisionOut
from experiments.api.repetition_schemas import (
    BaselineIn,
    BaselineOut,
    KnownBaselineIn,
    RepeatedOut,
)
from experiments.errors import NotFound
from experiments.judgement import baseline_evidence
from experiments.plain_json import plain
from experiments.queries import champion
from experiments.queries.access import Access, project_record
from experiments.queries.baselines import newest_baseline
from experiments.services import baselines as services
from experiments.services import replications

router = Router(tags=["baseline"])


@router.get("/{slug}/baseline", response={200: BaselineOut, **asking.READ_ERRORS})
def read_baseline(request: HttpRequest, slug: str) -> Any:
    """The baseline that ran last, with the scores of its seeds."""
    return _baseline(asking.reading(request, slug))


@router.post(
    "/{slug}/baseline",
    response={201: BaselineOut, **asking.WRITE_ERRORS},
    openapi_extra=bodies.described(BaselineIn),
)
def start_baseline(request: HttpRequest, slug: str) -> Any:
    """Queue one configuration over fresh seeds."""
    access = asking.writing(request, slug)
    asked = bodies.read(request, BaselineIn)
    services.start(
        user=asking.person(request),
        project=project_record(access),
        text=asked.text.replace("\r\n", "\n"),
        seeds=asked.seeds,
    )
    return Status(201, _baseline(access))


@router.post("/{slug}/baseline/repeat", response={200: RepeatedOut, **asking.WRITE_ERRORS})
def repeat_baseline(request: HttpRequest, slug: str) -> Any:
    """Queue seeds that failed by accident again."""
    replication = newest_baseline(asking.writing(request, slug))
    if replication is None:
        raise NotFound(f"{slug} has run no baseline.")
    user = asking.person(request)
    return {"queued": replications.repeat_failed(user=user, replication=replication)}


@router.post(
    "/{slug}/baseline/known",
    response={201: DecisionOut, **asking.WRITE_ERRORS},
    openapi_extra=bodies.described(KnownBaselineIn),
)
def enter_known_baseline(request: HttpRequest, slug: str) -> Any:
    """Enter a model from before with its known scores; that is a decision."""
    access = asking.deciding(request, slug)
    made = services.enter_known(
        user=asking.person(request),
        project=project_record(access),
        **bodies.read(request, KnownBaselineIn).dict(),
    )
    return Status(201, champion.as_document(made))


def _baseline(access: Access) -> dict[str, Any]:
    replication = newest_baseline(access)
    if replication is None:
        return {"experiment": "", "repetition": None, "pairs_queued": 0, "evidence": None}
    return {
        "experiment": replication.experiment.name,
        "repetition": replication.pk,
        "pairs_queued": replication.pairs_queued,
        "evidence": plain(baseline_evidence.gather(replication).document()),
    }
