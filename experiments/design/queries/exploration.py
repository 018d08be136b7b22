"""Exploration of a search space by an experiment's trials, evaluated on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from django.db.models import Max

from experiments.analysis.diagnosis import Diagnosis
from experiments.analysis.space.axis import Axis, Edge
from experiments.analysis.space.experiment_findings import diagnose_experiment
from experiments.analysis.space.feasibility import infeasibility_threshold
from experiments.analysis.space.phase import BLOCKING, ready_to_exploit
from experiments.design.queries.experiment_view import experiment_view
from experiments.design.queries.records import AnyExperiment
from experiments.models import Experiment, Finding


@dataclass(frozen=True, slots=True)
class Failing:
    """The end of a range in which nearly all trials fail to train, from `value` on."""

    edge: Edge
    value: float
    trials: int
    failed: int


@dataclass(frozen=True, slots=True)
class Exploration:
    """The axes of a search, what the rules about its space say, and whether it is settled.

    Diagnoses that a person dismissed with a reason do not count against `ready`.
    """

    axes: Sequence[Axis]
    diagnoses: Sequence[Diagnosis]
    ready: Diagnosis

    def axis(self, name: str) -> Axis | None:
        return next((axis for axis in self.axes if axis.name == name), None)


def explored(experiment: AnyExperiment) -> Exploration:
    """Apply the rules about a search space to all finished trials of an experiment.

    Kept until a trial or a probe finishes or a finding is dismissed: a form asks at every
    keystroke.
    """
    dismissed = frozenset(
        Finding.objects.filter(
            experiment=experiment.pk, trial__isnull=True, dismissed_at__isnull=False
        ).values_list("rule", "subject")
    )
    counters = ("created_at", "complete_count", "pruned_count", "failed_count")
    state = Experiment.objects.annotate(probed=Max("edge_probes__finished_at")).values_list(
        *counters, "probed"
    )
    return _explored(experiment.pk, state.get(pk=experiment.pk), dismissed)


@lru_cache(maxsize=16)
def _explored(
    experiment_id: int, state: tuple[object, ...], dismissed: frozenset[tuple[str, str]]
) -> Exploration:
    view = experiment_view(experiment_id)
    fired = [
        diagnosis
        for diagnosis in diagnose_experiment(view)
        if diagnosis.rule in BLOCKING and (diagnosis.rule, diagnosis.subject) not in dismissed
    ]
    return Exploration(view.axes, fired, ready_to_exploit(fired, view.axes, view.direction))


def failing(axis: Axis, edge: Edge) -> Failing | None:
    """The outer part of a range on one side in which 90 % of at least 3 trials failed."""
    seen = axis if edge is Edge.HIGH else replace(axis, unit=1 - axis.unit)
    threshold = infeasibility_threshold(seen)
    if threshold is None:
        return None
    beyond = np.isfinite(seen.unit) & (seen.unit >= threshold)
    value = axis.value_at(threshold if edge is Edge.HIGH else 1 - threshold)
    failed = int((beyond & ~axis.usable).sum())
    return Failing(edge, value, int(beyond.sum()), failed)
