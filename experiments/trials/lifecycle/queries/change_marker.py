"""Change marker of an experiment: numbers that change whenever its page reads differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max, Q, Sum

from experiments.design.queries.records import AnyExperiment
from experiments.models import Experiment, Finding, Trial
from experiments.models.experiment import ExperimentState
from experiments.models.trial import TrialState
from experiments.team.queries.access import Access


@dataclass(frozen=True, slots=True)
class ChangeMarker:
    """`words`: what the sentences of a page rest on; `table`: what its rows rest on.

    `moving`: whether anything can still change by itself.
    """

    words: tuple[Any, ...]
    table: tuple[Any, ...]
    finished: int
    moving: bool


def find_counters(access: Access, name: str) -> Experiment | None:
    """An experiment of a project by its name, only with what its change marker reads."""
    return (
        Experiment.objects.only(
            "state",
            "trial_count",
            "best_trial",
            "failed_count",
            "pruned_count",
            "mutes_overfitting",
        )
        .filter(project_id=access.project_id, name=name)
        .first()
    )


def change_marker(experiment: AnyExperiment) -> ChangeMarker:
    """Two queries, whatever the number of trials."""
    counters = (
        experiment.state,
        experiment.trial_count,
        experiment.best_trial_id,
        experiment.failed_count,
        experiment.pruned_count,
        experiment.mutes_overfitting,
    )
    unfinished = Trial.objects.filter(
        study__experiment=experiment.pk, state__in=(TrialState.RUNNING, TrialState.WAITING)
    ).aggregate(
        count=Count("pk"),
        running=Count("pk", filter=Q(state=TrialState.RUNNING)),
        newest=Max("pk"),
        steps=Sum("latest_step"),
        attempts=Sum("attempt"),
    )
    findings = Finding.objects.filter(experiment=experiment.pk).aggregate(
        count=Count("pk"), newest=Max("found_at"), dismissed=Count("dismissed_at")
    )
    words = (counters, unfinished["count"], unfinished["running"], tuple(findings.values()))
    seen = (findings["count"], findings["dismissed"])
    searching = experiment.state in (ExperimentState.RUNNING, ExperimentState.PAUSED)
    return ChangeMarker(
        words=words,
        table=(counters, tuple(unfinished.values()), seen),
        finished=experiment.trial_count,
        moving=searching or bool(unfinished["count"]),
    )
