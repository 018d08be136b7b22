"""Probes beyond edges of a search space: ask for one, read what it says, cancel."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from ninja import Router, Status
from pydantic import Field, StringConstraints

from experiments.design.queries.experiments import get_experiment
from experiments.design.queries.records import ExperimentRecord
from experiments.team.api import auth
from experiments.trials.lifecycle.queries.edge_probes import ProbePrice, ProbeRow, price_of
from experiments.trials.lifecycle.queries.edge_probes import probes_of as read_probes
from experiments.trials.lifecycle.services import edge_probes as services
from experiments.web import api_bodies
from experiments.web.api_schemas import Strict, answer, schema_of
from experiments.web.requests import TokenRequest

router = Router(tags=["findings"])
_PLACE = "/{slug}/experiments/{name}/edge-probes"
_PROBES = answer("EdgeProbes", price=schema_of(ProbePrice), probes=[schema_of(ProbeRow)])
Probes: TypeAlias = dict[str, ProbePrice | list[ProbeRow]]
Subject = Annotated[str, StringConstraints(max_length=260)]


class EdgesIn(Strict):
    """Edges as findings name them (`learning_rate:high`); every edge when empty."""

    edges: Annotated[list[Subject], Field(max_length=100, default_factory=list)]


@router.get(_PLACE, response={200: _PROBES, **auth.READ_ERRORS})
def list_edge_probes(request: TokenRequest, slug: str, name: str) -> Probes:
    """Probes of a search, the newest first, and the price of one edge."""
    return _probes(get_experiment(auth.reading(request, slug), name))


@router.post(
    _PLACE,
    response={202: _PROBES, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(EdgesIn),
)
def probe_edges(request: TokenRequest, slug: str, name: str) -> Status[Probes]:
    """Run the best configurations beyond the edges, paired with the same seeds."""
    access = auth.writing(request, slug)
    experiment = get_experiment(access, name)
    asked = api_bodies.read(request, EdgesIn)
    services.ask(access=access, experiment=experiment, subjects=asked.edges)
    return Status(202, _probes(experiment))


@router.post(f"{_PLACE}/cancel", response={200: _PROBES, **auth.WRITE_ERRORS})
def cancel_edge_probe(request: TokenRequest, slug: str, name: str) -> Probes:
    """End the probe that is under way."""
    access = auth.writing(request, slug)
    experiment = get_experiment(access, name)
    services.cancel(access=access, experiment=experiment)
    return _probes(experiment)


def _probes(experiment: ExperimentRecord) -> Probes:
    return {"price": price_of(experiment, 1), "probes": read_probes(experiment.pk)}
