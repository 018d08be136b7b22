"""API of findings and their dismissal."""

from __future__ import annotations

from typing import TypeAlias

from ninja import Router

from experiments.design.api.experiment_schemas import DismissIn, DoneOut, MutedIn
from experiments.design.queries.experiments import arms_of, get_experiment
from experiments.design.queries.records import ExperimentRecord
from experiments.errors import NotFound
from experiments.team.api import auth
from experiments.trials.findings.queries import findings as queries
from experiments.trials.findings.queries.findings import FindingRow
from experiments.trials.findings.services import findings as services
from experiments.web import api_bodies
from experiments.web.api_schemas import answer, schema_of
from experiments.web.requests import TokenRequest

router = Router(tags=["findings"])
_PLACE = "/{slug}/experiments/{name}"
FINDING = schema_of(FindingRow, without="trial_id", also="is_open")
Told: TypeAlias = dict[str, str | tuple[FindingRow, ...]]
_FINDINGS = answer("Findings", summary=str, findings=[FINDING])


@router.get(f"{_PLACE}/findings", response={200: _FINDINGS, **auth.READ_ERRORS})
def list_findings(request: TokenRequest, slug: str, name: str) -> Told:
    """An experiment's findings and the warnings of its trials, those that ask for something
    first. Every finding of one trial stands with the trial.
    """
    return _findings(get_experiment(auth.reading(request, slug), name))


@router.post(
    "/{slug}/findings/{int:finding}/dismiss",
    response={200: _FINDINGS, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(DismissIn),
)
def dismiss_finding(request: TokenRequest, slug: str, finding: int) -> Told:
    """Dismiss a finding; person and reason go into the evidence of a decision.

    `all`: with what its rule warns of in every trial, as the experiment's findings count it.
    """
    access = auth.writing(request, slug)
    name = queries.experiment_of_finding(access.project_id, finding) if finding < 2**63 else None
    if name is None:
        raise NotFound(f"There is no finding {finding}.")
    asked = api_bodies.read(request, DismissIn)
    services.dismiss(access=access, finding_id=finding, reason=asked.reason, everywhere=asked.all)
    return _findings(get_experiment(access, name))


@router.post(
    f"{_PLACE}/mute",
    response={200: DoneOut, **auth.WRITE_ERRORS},
    openapi_extra=api_bodies.described(MutedIn),
)
def mute_overfitting(request: TokenRequest, slug: str, name: str) -> ExperimentRecord:
    """Let overfitting ask for nothing in this experiment, or let it ask again."""
    access = auth.writing(request, slug)
    experiment = get_experiment(access, name)
    services.mute_overfitting(
        access=access,
        experiment=experiment,
        muted=api_bodies.read(request, MutedIn).muted,
    )
    return experiment


def _findings(experiment: ExperimentRecord) -> Told:
    found = queries.findings_of(experiment, len(arms_of(experiment.pk)))
    return {"summary": found.summary, "findings": found.rows}
