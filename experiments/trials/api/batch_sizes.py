"""Measurements of batch sizes: ask a worker for one, read what was measured, cancel."""

from __future__ import annotations

from typing import Annotated

from ninja import Field, Router, Schema, Status

from experiments.design.batch_size_plan import LARGEST, MOST_STEPS, ProbePlan
from experiments.design.queries.experiments import get_experiment
from experiments.errors import NotFound
from experiments.team.api import auth
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.queries.batch_sizes import Measurement, measurements
from experiments.trials.lifecycle.services import batch_sizes as services
from experiments.web import api_bodies
from experiments.web.api_schemas import answer, schema_of
from experiments.web.requests import TokenRequest

router = Router(tags=["batch sizes"])
_PLAN = ProbePlan()
_MEASUREMENT = schema_of(Measurement, without="is_to_end")
_MEASUREMENTS = answer("Measurements", measurements=[_MEASUREMENT])


class BatchSizesIn(Schema):
    """Parameters of a measurement: what to vary, which sizes, how many steps of each are timed."""

    parameter: Annotated[str, Field(max_length=100)] = _PLAN.parameter
    first: Annotated[int, Field(ge=1, le=LARGEST)] = _PLAN.first
    largest: Annotated[int, Field(ge=1, le=LARGEST)] = _PLAN.largest
    steps: Annotated[int, Field(ge=3, le=MOST_STEPS)] = _PLAN.steps


@router.get("/{slug}/batch-sizes", response={200: _MEASUREMENTS, **auth.READ_ERRORS})
def list_measurements(request: TokenRequest, slug: str) -> dict[str, list[Measurement]]:
    """Measurements of a project, running and finished, the newest first."""
    return {"measurements": measurements(auth.reading(request, slug).project_id)}


@router.get(
    "/{slug}/batch-sizes/{int:measurement}", response={200: _MEASUREMENT, **auth.READ_ERRORS}
)
def read_measurement(request: TokenRequest, slug: str, measurement: int) -> Measurement:
    """One measurement, also while it goes on."""
    return _found(auth.reading(request, slug), measurement)


@router.post(
    "/{slug}/experiments/{name}/batch-size",
    response={202: _MEASUREMENT, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(BatchSizesIn),
)
def measure(request: TokenRequest, slug: str, name: str) -> Status[Measurement]:
    """Ask a worker to measure the batch sizes of an experiment's training function."""
    access = auth.writing(request, slug)
    made = services.ask(
        access=access,
        experiment=get_experiment(access, name),
        **api_bodies.read(request, BatchSizesIn).dict(),
    )
    return Status(202, _found(access, made))


@router.post(
    "/{slug}/batch-sizes/{int:measurement}/cancel", response={204: None, **auth.WRITE_ERRORS}
)
def cancel(request: TokenRequest, slug: str, measurement: int) -> Status[None]:
    """End a measurement within seconds; what it has measured stays."""
    access = auth.writing(request, slug)
    services.cancel(access=access, probe_id=measurement)
    return Status(204, None)


def _found(access: Access, number: int) -> Measurement:
    found = measurements(access.project_id, number)
    if not found:
        raise NotFound("There is no such measurement.")
    return found[0]
