"""Runs as programs outside see them, through a token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import OuterRef, Subquery

from experiments import metrics
from experiments.metrics import Metric
from experiments.models import ApiToken, Membership, Trial
from experiments.models.project import Role
from experiments.models.trial import StudyKind, TrialState
from experiments.queries import access
from experiments.queries.trial_table import STATE_WORDS


@dataclass(frozen=True, slots=True)
class RunView:
    """A run. `from_outside`: a program logs it over HTTP, no worker runs it. `role`: what the
    token's owner is in its project.
    """

    id: int
    project: str
    experiment: str
    number: int
    state: str
    official_metric: str
    declared: Mapping[str, Metric]
    stop_requested: bool
    from_outside: bool
    value: float | None
    role: str

    @property
    def may_write(self) -> bool:
        return access.ROLES.index(Role(self.role)) >= access.ROLES.index(Role.EDITOR)


def find(token: ApiToken, run_id: int) -> RunView | None:
    """The run behind an id, None when the token does not open its project. One query."""
    membership = Membership.objects.filter(
        user_id=token.owner_id, project_id=OuterRef("study__project_id")
    )
    trial = (
        Trial.objects.select_related("study__experiment", "study__project")
        .annotate(role=Subquery(membership.values("role")[:1]))
        .filter(
            pk=run_id,
            study__experiment__isnull=False,
            study__deleted_at__isnull=True,
            study__project__in=access.visible_projects(token.owner),
        )
        .first()
    )
    if trial is None or token.project_id not in (None, trial.study.project_id):
        return None
    experiment = trial.study.experiment
    if experiment is None:
        return None
    return RunView(
        id=trial.pk,
        project=trial.study.project.slug,
        experiment=experiment.name,
        number=trial.number,
        state=STATE_WORDS[TrialState(trial.state)],
        official_metric=experiment.official_metric,
        declared=metrics.from_document(json.loads(experiment.document)),
        stop_requested=bool(trial.control),
        from_outside=experiment.sampler == "outside" and trial.study.kind == StudyKind.SEARCH,
        value=trial.value,
        role=trial.role or Role.ADMIN,  # a superuser sees it without being a member
    )
