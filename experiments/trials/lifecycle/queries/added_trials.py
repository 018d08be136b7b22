"""Initial values of the page that adds trials to a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.design.queries.records import AnyExperiment, AnyTrial
from experiments.models import Experiment, Trial
from experiments.models.trial import FailureKind, Origin, StudyKind, TrialState
from experiments.models.trial_encoding import decode


def searched_values(trial: AnyTrial) -> Mapping[str, Any]:
    """The searched hyperparameters of a trial, by name."""
    values: Mapping[str, Any] = decode(trial.parameters)
    return values


def may_be_retried(trial: AnyTrial) -> bool:
    """Test whether a trial of a search failed by accident and was not tried again yet."""
    return (
        trial.study.kind == StudyKind.SEARCH
        and trial.state == TrialState.FAILED
        and trial.failure_kind != FailureKind.INFEASIBLE
        and trial.origin != Origin.OUTSIDE
        and not Trial.objects.filter(retry_of=trial.pk).exists()
    )


def experiment_names(experiment: AnyExperiment) -> tuple[str, ...]:
    """Names of all experiments of its project."""
    rows = Experiment.objects.filter(project_id=experiment.project_id)
    return tuple(rows.values_list("name", flat=True))
