"""Finished trials and searches whose findings nobody has recorded: they are owed."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q
from django.utils import timezone

from experiments.design import metrics
from experiments.design.metrics import Metric
from experiments.models import Experiment, Trial
from experiments.models.experiment import OUTSIDE, ExperimentState
from experiments.models.trial import FailureKind, TrialState
from experiments.models.trial_encoding import decode

_AT_REST = (ExperimentState.FINISHED, ExperimentState.STOPPED, ExperimentState.PAUSED)


@dataclass(frozen=True, slots=True)
class DueTrial:
    """A finished search trial whose curves no rule has read, with what rules need to know of it.

    Attributes:
        from_outside: whether its search has no space, which rules across trials need.
        pruned: whether it ended before its time.
    """

    trial_id: int
    attempt: int
    experiment_id: int
    official_metric: str
    direction: str
    metrics: Mapping[str, Metric]
    parameters: Mapping[str, Any]
    pruned: bool
    from_outside: bool


def due_trials(most: int, *, silence: dt.timedelta) -> list[DueTrial]:
    """Those that finished first. A worker reads its own trials at once: its are due when it has
    been silent for so long; those of external programs always. One query.
    """
    late = timezone.now() - silence
    rows = (
        Trial.objects.filter(findings_due=True, study__deleted_at__isnull=True)
        .filter(Q(attempt=0) | Q(finished_at__lt=late))
        .select_related("study__experiment", "configuration")
        .order_by("finished_at", "pk")[:most]
    )
    return [_due(row) for row in rows]


def due_summaries(most: int) -> list[DueTrial]:
    """Ended search trials whose metrics nobody has summarised, the newest first. One query."""
    rows = (
        Trial.objects.filter(metrics_due=True, study__deleted_at__isnull=True)
        .filter(study__experiment__isnull=False)
        .select_related("study__experiment", "configuration")
        .order_by("-pk")[:most]
    )
    return [_due(row) for row in rows]


def _due(trial: Trial) -> DueTrial:
    experiment = trial.study.experiment
    assert experiment is not None
    parameters = decode(trial.parameters)
    if trial.configuration is not None:  # with the fixed ones
        parameters = json.loads(trial.configuration.document)["parameters"]
    whole = trial.state == TrialState.COMPLETE or trial.failure_kind == FailureKind.INFEASIBLE
    return DueTrial(
        trial_id=trial.pk,
        attempt=trial.attempt,
        experiment_id=experiment.pk,
        official_metric=experiment.official_metric,
        direction=experiment.direction,
        metrics=metrics.declared_metrics(experiment.document),
        parameters=parameters,
        pruned=not whole,
        from_outside=experiment.is_from_outside,
    )


def due_experiments(most: int, *, silence: dt.timedelta) -> list[int]:
    """Searches at rest with trials that their findings and importance were not made from."""
    rows = Experiment.objects.filter(
        derived_count__lt=F("trial_count"),
        active_at__lt=timezone.now() - silence,
        state__in=_AT_REST,
        archived_at__isnull=True,
    ).exclude(sampler=OUTSIDE)
    return list(rows.order_by("active_at").values_list("pk", flat=True)[:most])
