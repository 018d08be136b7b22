"""Importance of hyperparameters: what is stored, when it is due, and its input."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from experiments.models import Experiment, ParameterImportance, Study
from experiments.models.trial import StudyKind, TrialState
from experiments.models.trial_encoding import decode, decode_distributions
from experiments.trials.lifecycle.queries.search_progress import SearchProgress
from experiments.trials.table.queries.trial_table import search_trials

LEAST_TRIALS = 20  # the best tenth are two of them
STEADY_TRIALS = 50  # from here on the best tenth are five, as Optuna recommends
GROWTH = 1.1  # computed again when there are a tenth more


@dataclass(frozen=True, slots=True)
class Importance:
    """Shares by name in the whole space and within the better half, each 0..1, adding up to 1."""

    method: str
    trials: int
    shares: Mapping[str, tuple[float, float]]
    computed_at: datetime


@dataclass(frozen=True, slots=True)
class ScoredTrial:
    """A complete trial; scientific values of its arm are among the parameters."""

    parameters: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    value: float


def importance_of(experiment_id: int) -> Importance | None:
    """The newest computation, None before the first."""
    row = ParameterImportance.objects.filter(experiment_id=experiment_id).first()
    if row is None:
        return None
    shares = {name: (whole, near) for name, (whole, near) in json.loads(row.shares).items()}
    return Importance(row.method, row.trials, shares, row.computed_at)


def importance_due(progress: SearchProgress) -> bool:
    """Test whether enough has changed since the last computation; at the end everything counts."""
    complete, read = progress.complete, progress.read_for_importance
    if complete < LEAST_TRIALS:
        return False
    if read is None:
        return True
    ended = progress.done >= progress.budget or not progress.is_running
    return complete > read and (ended or complete >= GROWTH * read)


def is_maximized(experiment_id: int) -> bool:
    """Test whether a higher score is better."""
    direction = Experiment.objects.values_list("direction", flat=True).get(pk=experiment_id)
    return bool(direction == "maximize")


def scored_trials(experiment_id: int) -> list[ScoredTrial]:
    """The complete search trials with a finite score and their distributions. Two queries."""
    arms = {
        row.pk: json.loads(row.arm)
        for row in Study.objects.filter(
            experiment_id=experiment_id, kind=StudyKind.SEARCH, deleted_at__isnull=True
        ).order_by("arm_index")
    }
    scientific = _distributions_of_arms(list(arms.values()))
    rows = (
        search_trials(experiment_id)
        .filter(state=TrialState.COMPLETE, value__isnull=False)
        .values_list("study_id", "parameters", "distributions", "value")
    )
    found = []
    for study, parameters, distributions, value in rows:
        if value is None or not math.isfinite(value):
            continue
        arm = {name: arms[study][name] for name in scientific if name in arms[study]}
        spaces = {
            **{name: scientific[name] for name in arm},
            **decode_distributions(distributions),
        }
        values = {**arm, **decode(parameters)}
        # An external program may have told values without saying where they came from.
        known = [name for name in values if name in spaces]
        found.append(
            ScoredTrial(
                {name: values[name] for name in known},
                {name: spaces[name] for name in known},
                value,
            )
        )
    return found


def _distributions_of_arms(arms: list[dict[str, Any]]) -> dict[str, BaseDistribution]:
    """Differences between the arms, as choices."""
    found: dict[str, BaseDistribution] = {}
    for name in dict.fromkeys(name for arm in arms for name in arm):
        choices = list(dict.fromkeys(arm[name] for arm in arms if name in arm))
        if len(choices) > 1:
            found[name] = CategoricalDistribution(choices)
    return found
