"""Change marker of a runs table: it changes whenever one of its runs does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from django.db.models import Count, Max, Q, Sum

from experiments.models import Experiment, Finding
from experiments.models.experiment import ExperimentState
from experiments.models.trial import TrialState
from experiments.trials.table.queries.run_scope import RunScope, runs_in

_UNFINISHED = Q(state__in=(TrialState.RUNNING, TrialState.WAITING))


@dataclass(frozen=True, slots=True)
class RunsMarker:
    """`moving`: whether anything can still change by itself."""

    mark: str
    moving: bool


def runs_marker(scope: RunScope) -> RunsMarker:
    """Four queries, of which none reads the finished runs one by one."""
    experiments = Experiment.objects.filter(project_id=scope.project_id)
    if scope.experiments:
        experiments = experiments.filter(
            pk__in=[experiment.pk for experiment in scope.experiments]
        )
    counters = experiments.aggregate(
        trials=Sum("trial_count"),
        active=Max("active_at"),
        searching=Count(
            "pk", filter=Q(state__in=(ExperimentState.RUNNING, ExperimentState.PAUSED))
        ),
    )
    unfinished = (
        runs_in(scope)
        .filter(_UNFINISHED)
        .aggregate(
            count=Count("pk"), newest=Max("pk"), steps=Sum("latest_step"), attempts=Sum("attempt")
        )
    )
    findings = Finding.objects.filter(experiment__in=experiments.values("pk")).aggregate(
        newest=Max("found_at"), dismissed=Count("dismissed_at")
    )
    values = (*counters.values(), *unfinished.values(), *findings.values())
    mark = hashlib.sha256(repr(values).encode()).hexdigest()[:12]
    return RunsMarker(mark, bool(counters["searching"] or unfinished["count"]))
