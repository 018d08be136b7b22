"""Trials of an experiment: list, read, their series, and what a person adds to a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from django.http import StreamingHttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field, StringConstraints

from experiments.design import metrics
from experiments.design.api.experiment_schemas import DoneOut
from experiments.design.follow_ups import refinement
from experiments.design.queries.experiments import arms_of, get_experiment
from experiments.design.queries.records import ExperimentRecord
from experiments.errors import Conflict, Problem, VerdictError
from experiments.team.api import auth
from experiments.team.queries.access import Access
from experiments.trials.api.findings import FINDING
from experiments.trials.findings.queries.findings import FindingRow, findings_of_trial
from experiments.trials.lifecycle.queries import added_trials as added_queries
from experiments.trials.lifecycle.services import added_trials as services
from experiments.trials.lifecycle.services import experiments
from experiments.trials.series import series_files
from experiments.trials.series.queries import series, series_exports
from experiments.trials.table import trial_files
from experiments.trials.table.queries import trial_exports
from experiments.trials.table.queries.reproduce import line_of
from experiments.trials.table.queries.trial_detail import TrialDetail, detail_of, get_trial
from experiments.trials.table.queries.trial_table import ROWS, TrialFilter, TrialRow, list_trials
from experiments.web import api_bodies
from experiments.web.api_schemas import (
    PAGED,
    Number,
    Paged,
    PageNumber,
    PageSize,
    ParameterName,
    Strict,
    Text,
    answer,
    joined,
    paged,
    schema_of,
)
from experiments.web.pagination import PageOf
from experiments.web.requests import TokenRequest
from experiments.web.streaming import download

router = Router(tags=["trials"])
_PLACE = "/{slug}/experiments/{name}"
Word = Annotated[str, StringConstraints(max_length=300)]
Step = Annotated[int | None, Field(ge=-(2**62), le=2**62)]
_ALL: list[str] = []  # pydantic copies a default
_TRIALS = answer("Trials", trials=[schema_of(TrialRow, without="number findings")], **PAGED)
_QUEUED = answer("Queued", "Ids of the queued trials, those of /runs/{id}.", ids=list[int])


@dataclass(frozen=True, slots=True)
class TrialAnswer(TrialDetail):
    """A trial in full, with the command that runs it again and what the rules saw.

    `score` is the latest value while it runs. `run_name` and `summary` are what a program outside
    calls it, and wants it to be known by. `code` ran, in whatever configuration; `declared_code`
    is the digest that a replicate's configuration has instead, "" where they agree.
    """

    reproduce: str
    findings: Sequence[FindingRow]


_TRIAL = schema_of(
    TrialAnswer,
    "TrialDetail",
    without="is_replicate searched",
    also="parameters",
    findings=[FINDING],
)


class TryIn(Strict):
    """Scientific hyperparameters among the parameters choose the arm."""

    parameters: dict[ParameterName, bool | int | float | str | None] = Field(max_length=1000)
    arm: Text = Field(default="", description="letter of the arm; every arm that fits when empty")


class BudgetIn(Strict):
    per_arm: int = Field(description="to how many trials the sampler goes on in every arm")


class GridIn(Strict):
    insist: bool = Field(default=False, description="also over more than two dimensions")


class SeriesOut(Schema):
    """Columns of equal length; numbers that are not finite are text."""

    steps: list[int | float]
    values: list[Number]


class TrialSeriesOut(Schema):
    trial: str
    series: dict[str, SeriesOut]


@router.get(f"{_PLACE}/trials", response={200: _TRIALS, **auth.READ_ERRORS})
def list_of_trials(
    request: TokenRequest,
    slug: str,
    name: str,
    state: Word = "",
    arm: Word = "",
    order: Word = "score",
    down: bool = False,
    page: PageNumber = 1,
    per_page: PageSize = ROWS,
) -> Paged[TrialRow]:
    """The search trials, 25 a page unless told; beyond the last page there are none.

    `state`: waiting, running, complete, pruned or failed; `arm`: its letter; `order`: score,
    number, seconds, step, arm, state or p.<hyperparameter>; `down` turns it round.
    """
    access = auth.reading(request, slug)
    experiment = get_experiment(access, name)
    found = list_trials(
        experiment.pk,
        arms_of(experiment.pk),
        TrialFilter(state, arm, order, down, PageOf(page, per_page, exact=True)),
        direction=experiment.direction,
        parameters=trial_exports.parameter_names(experiment.pk),
    )
    return paged("trials", found)


@router.get(f"{_PLACE}/trials.csv", openapi_extra=api_bodies.file(trial_files.CONTENT_TYPE))
def read_trials_file(
    request: TokenRequest,
    slug: str,
    name: str,
    state: Word = "",
    arm: Word = "",
    order: Word = "score",
    down: bool = False,
) -> StreamingHttpResponse:
    """The same as a table, all of them."""
    access = auth.reading(request, slug)
    experiment = get_experiment(access, name)
    parameters = trial_exports.parameter_names(experiment.pk)
    wanted = TrialFilter(state=state, arm=arm, order=order, descending=down)
    arms = arms_of(experiment.pk)
    rows = trial_exports.exported_trials(experiment, arms, wanted, parameters)
    return download(
        trial_files.write(rows, metric=experiment.official_metric, parameters=parameters),
        content_type=trial_files.CONTENT_TYPE,
        filename=f"{slug} {experiment.name} trials.csv",
    )


@router.get(
    _PLACE + "/series.{kind}", openapi_extra=api_bodies.file(*series_files.CONTENT_TYPES.values())
)
def read_series_file(
    request: TokenRequest,
    slug: str,
    name: str,
    kind: Literal["csv", "parquet"],
    metric: Annotated[list[str], Query(max_length=100)] = _ALL,
) -> StreamingHttpResponse:
    """All series of all trials, exact, without test scores; `metric` narrows it."""
    access = auth.reading(request, slug)
    experiment = get_experiment(access, name)
    names = series_exports.trial_names(experiment)
    pieces = series_exports.exact(
        names,
        declared=metrics.declared_metrics(experiment.document),
        metrics=metric or None,
    )
    return download(
        series_files.write(
            pieces, kind, any_steps=partial(series_exports.may_have_any_steps, names)
        ),
        content_type=series_files.CONTENT_TYPES[kind],
        filename=f"{slug} {experiment.name}.{kind}",
    )


@router.get(_PLACE + "/trials/{trial}", response={200: _TRIAL, **auth.READ_ERRORS})
def read_trial(request: TokenRequest, slug: str, name: str, trial: str) -> TrialAnswer:
    """One trial: what it ran with, how it ended, what the rules saw, the end of its log."""
    access = auth.reading(request, slug)
    experiment = get_experiment(access, name)
    found = get_trial(experiment, trial)
    detail = detail_of(found.pk, len(arms_of(experiment.pk)))
    return joined(
        TrialAnswer,
        detail,
        reproduce=line_of(experiment, found),
        findings=findings_of_trial(found.pk),
    )


@router.get(_PLACE + "/trials/{trial}/series", response={200: TrialSeriesOut, **auth.READ_ERRORS})
def read_trial_series(
    request: TokenRequest,
    slug: str,
    name: str,
    trial: str,
    first: Step = None,
    last: Step = None,
) -> TrialSeriesOut:
    """Every series of a trial, to the last bit; `first` and `last` cut out a range of steps."""
    access = auth.reading(request, slug)
    experiment = get_experiment(access, name)
    found = get_trial(experiment, trial)
    range_of_steps = (
        -(2**63) if first is None else first,
        2**63 - 1 if last is None else last,
    )
    read = series.read(
        [found.pk],
        declared=metrics.declared_metrics(experiment.document),
        steps=None if first is None and last is None else range_of_steps,
    )
    columns = {
        metric: SeriesOut(steps=logged.steps.tolist(), values=logged.values.tolist())
        for metric, logged in read.get(found.pk, {}).items()
    }
    return TrialSeriesOut(trial=trial, series=columns)


@router.post(
    f"{_PLACE}/trials",
    response={201: _QUEUED, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(TryIn),
)
def try_configuration(request: TokenRequest, slug: str, name: str) -> Status[dict[str, list[int]]]:
    """Queue a configuration of your own beside the sampler's."""
    access, experiment = _searched(request, slug, name)
    asked = api_bodies.read(request, TryIn)
    letters = {arm.letter: arm.index for arm in arms_of(experiment.pk)}
    if asked.arm and asked.arm not in letters:
        found = Problem("arm", f"expected one of {', '.join(letters)}")
        raise VerdictError("There is no such arm.", [found])
    made = services.try_configuration(
        access=access,
        experiment=experiment,
        parameters=asked.parameters,
        arm=letters[asked.arm] if asked.arm else None,
    )
    return Status(201, {"ids": made})


@router.post(_PLACE + "/trials/{trial}/retry", response={201: _QUEUED, **auth.WRITE_ERRORS})
def retry_trial(
    request: TokenRequest, slug: str, name: str, trial: str
) -> Status[dict[str, list[int]]]:
    """Queue a failed trial again, with the same row, parameters and seeds."""
    access, experiment = _searched(request, slug, name)
    failed = get_trial(experiment, trial)
    return Status(201, {"ids": [services.retry(access=access, trial=failed)]})


@router.post(
    f"{_PLACE}/budget",
    response={200: answer("Added", added=int), **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(BudgetIn),
)
def extend_budget(request: TokenRequest, slug: str, name: str) -> dict[str, int]:
    """Let the sampler go on to so many trials in every arm."""
    access, experiment = _searched(request, slug, name)
    per_arm = api_bodies.read(request, BudgetIn).per_arm
    added = services.extend_budget(access=access, experiment=experiment, per_arm=per_arm)
    return {"added": added}


@router.post(
    f"{_PLACE}/grid",
    response={201: DoneOut, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(GridIn, required=False),
)
def refine(request: TokenRequest, slug: str, name: str) -> Status[dict[str, str]]:
    """Make a grid where a finished random search was good: an experiment that extends it."""
    access, experiment = _searched(request, slug, name)
    insist = api_bodies.read(request, GridIn).insist if request.body else False
    text = refinement.grid_file(
        experiment, taken=added_queries.experiment_names(experiment), insist=insist
    )
    made = experiments.create(access=access, text=text, extends=experiment)
    return Status(201, {"name": made.name, "state": made.state})


def _searched(request: TokenRequest, slug: str, name: str) -> tuple[Access, ExperimentRecord]:
    """An experiment that workers search, to which this token may add."""
    access = auth.writing(request, slug)
    experiment = get_experiment(access, name)
    if not experiment.source:
        raise Conflict("A program described this experiment; only that program adds trials.")
    return access, experiment
