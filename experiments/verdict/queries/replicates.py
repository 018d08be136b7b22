"""Read the replicates of a repetition, with the evaluations that their scores come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from experiments.models import Replication, SealedScore, Trial
from experiments.models.trial import FailureKind, TrialState
from experiments.trials.series.queries import series


@dataclass(frozen=True, slots=True)
class ReplicateRun:
    """One replicate. `values` [T]: its evaluations of the official metric, in logging order.

    A run that told one value and logged no series has one evaluation. `other_metrics`: the same
    of the repetition's guard metrics, as far as they were logged.
    """

    trial_id: int
    study_id: int
    number: int
    side: str
    pair: int
    state: int
    failure_kind: str
    train_seed: int
    split_seed: int
    best: float | None
    seconds: float | None
    peak_memory_mb: float | None
    read_split_seed: bool | None
    values: NDArray[np.float64] = field(repr=False)
    other_metrics: Mapping[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    @property
    def is_open(self) -> bool:
        """Whether it has no outcome yet: not run, running, or ended by an accident."""
        if self.state == TrialState.FAILED:
            return self.failure_kind != FailureKind.INFEASIBLE
        return self.state not in (TrialState.COMPLETE, TrialState.PRUNED)

    @property
    def is_accident(self) -> bool:
        return self.state == TrialState.FAILED and self.failure_kind != FailureKind.INFEASIBLE


def replicate_runs(replication: Replication) -> list[ReplicateRun]:
    """All replicates, ordered by pair; of a repeated one only the newest. Two queries."""
    metric = replication.experiment.official_metric
    guards = [str(guard["metric"]) for guard in replication.declared_guards]
    rows = list(
        Trial.objects.replicates_of(replication)
        .select_related("study")
        .defer("log_tail", "traceback", "system_attributes", "user_attributes")
        .order_by("pair", "study_id", "number")
    )
    newest = {(row.study_id, row.pair): row for row in rows}
    read = series.read([row.pk for row in newest.values()], names=[metric, *guards])
    return [
        _run(row, {name: column.values for name, column in read.get(row.pk, {}).items()}, metric)
        for row in newest.values()
    ]


def _run(row: Trial, logged: dict[str, NDArray[np.float64]], metric: str) -> ReplicateRun:
    values = logged.pop(metric, np.empty(0))
    if not values.size and row.state == TrialState.COMPLETE and row.value is not None:
        values = np.array([row.value])
    return ReplicateRun(
        trial_id=row.pk,
        study_id=row.study_id,
        number=row.number,
        side=row.study.side,
        pair=row.pair or 0,
        state=row.state,
        failure_kind=row.failure_kind,
        train_seed=row.train_seed or 0,
        split_seed=row.split_seed or 0,
        best=row.value,
        seconds=row.seconds,
        peak_memory_mb=row.peak_memory_mb,
        read_split_seed=row.read_split_seed,
        values=values,
        other_metrics=logged,
    )


def test_scores(replication: Replication) -> dict[int, dict[str, float | None]]:
    """Sealed scores by trial. Call only when an opening has been recorded."""
    if not replication.test_openings.exists():
        raise PermissionError("the test scores of this repetition have not been opened")
    found: dict[int, dict[str, float | None]] = {}
    runs = Trial.objects.replicates_of(replication)
    scores = SealedScore.objects.filter(trial__in=runs)
    for trial_id, name, value in scores.values_list("trial_id", "name", "value"):
        found.setdefault(trial_id, {})[name] = value
    return found
