"""Runs as external programs see them, through a token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from experiments.design import metrics
from experiments.design.metrics import Metric
from experiments.design.queries.records import AnyExperiment
from experiments.models import ApiToken, Configuration, Replication, Trial
from experiments.models.decision import Choice
from experiments.models.experiment import OUTSIDE
from experiments.models.project import Role
from experiments.models.replication import Purpose
from experiments.models.trial import StudyKind, TrialState
from experiments.team.queries import access
from experiments.trials.table.queries.trial_table import STATE_WORDS

# Every batch of points asks this, so it is no model of four wide tables, nor of the ORM's making.
_FIND = """
SELECT m.role, t.number, t.state, t.control, t.value, s.project_id, p.slug,
    e.name, e.official_metric, e.document, e.sampler
FROM experiments_trial t
JOIN experiments_study s ON s.id = t.study_id AND s.deleted_at IS NULL
JOIN experiments_project p ON p.id = s.project_id
JOIN experiments_experiment e ON e.id = s.experiment_id
LEFT JOIN experiments_membership m ON m.project_id = s.project_id AND m.user_id = %s
WHERE t.id = %s
"""


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
    stop: bool  # a person asks the run to end
    from_outside: bool
    value: float | None
    role: str

    @property
    def may_write(self) -> bool:
        return access.ROLES.index(Role(self.role)) >= access.ROLES.index(Role.EDITOR)


def parameters_of(experiment: AnyExperiment) -> list[Mapping[str, Any]]:
    """Configurations that each complete run of a search was trained with, each once."""
    documents = (
        Configuration.objects.filter(
            trials__study__experiment=experiment.pk,
            trials__study__kind=StudyKind.SEARCH,
            trials__state=TrialState.COMPLETE,
        )
        .order_by("pk")
        .distinct()
        .values_list("document", flat=True)
    )
    return [json.loads(document)["parameters"] for document in documents]


@dataclass(frozen=True, slots=True)
class DeclaredReplicate:
    """One replicate of a replication as a program may see it: no score. `pair` counts from 1;
    `run` is None while nobody has taken it.
    """

    side: str
    pair: int
    train_seed: int | None
    split_seed: int | None
    state: str
    run: int | None


@dataclass(frozen=True, slots=True)
class DeclaredReplication:
    """A replication as it was declared, and its replicates at the present look."""

    id: int
    project: str
    experiment: str
    looks: tuple[int, ...]
    pairs: int
    decided: bool
    candidate: Mapping[str, Any]
    baseline: Mapping[str, Any]
    replicates: tuple[DeclaredReplicate, ...]


def find_replication(token: ApiToken, replication: int) -> DeclaredReplication | None:
    """The replication for a verdict behind an id; None when the token does not open it."""
    found = (
        Replication.objects.filter(
            pk=replication,
            purpose=Purpose.VERDICT,
            picked="",
            experiment__project__in=access.visible_projects(token.owner),
        )
        .select_related("experiment__project", "candidate", "baseline")
        .first()
    )
    if found is None or token.project_id not in (None, found.experiment.project_id):
        return None
    rows = Trial.objects.replicates_of(found).select_related("study")
    baseline = found.baseline
    return DeclaredReplication(
        id=found.pk,
        project=found.experiment.project.slug,
        experiment=found.experiment.name,
        looks=found.declared_looks,
        pairs=found.pairs_queued,
        decided=found.decisions.exclude(choice=Choice.CONTINUE).exists(),
        candidate=json.loads(found.candidate.document)["parameters"],
        baseline=json.loads(baseline.document)["parameters"] if baseline else {},
        replicates=tuple(_declared(row) for row in rows.order_by("pair", "study__side", "number")),
    )


def _declared(row: Trial) -> DeclaredReplicate:
    return DeclaredReplicate(
        side=row.study.side,
        pair=(row.pair or 0) + 1,
        train_seed=row.train_seed,
        split_seed=row.split_seed,
        state=STATE_WORDS[TrialState(row.state)],
        run=None if row.state == TrialState.WAITING else row.pk,
    )


def find(token: ApiToken, run_id: int) -> RunView | None:
    """The run behind an id, None when the token does not open its project. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND, [token.owner_id, run_id])
        found = cursor.fetchone()
    if found is None:
        return None
    role, number, state, control, value, project_id, slug, name, metric, *more = found
    if role is None and not token.owner.is_superuser:
        return None
    if token.project_id not in (None, project_id):
        return None
    document, sampler = more
    return RunView(
        id=run_id,
        project=slug,
        experiment=name,
        number=number,
        state=STATE_WORDS[TrialState(state)],
        official_metric=metric,
        declared=metrics.declared_metrics(document),
        stop=bool(control),
        from_outside=sampler == OUTSIDE,
        value=value,
        role=role or Role.ADMIN,  # a superuser sees it without being a member
    )
