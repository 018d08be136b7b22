"""Read the replicates of a replication, with the evaluations that their scores come from."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.design.objective_code import recorded_code
from experiments.design.queries.records import AnyReplication
from experiments.models import Environment, SealedScore, TestOpening, Trial
from experiments.models.replication import PickedRuns
from experiments.models.trial import FailureKind, Side, TrialState
from experiments.trials.series.queries import series


@dataclass(frozen=True, slots=True)
class ReplicateRun:
    """One replicate. `values` [T]: its evaluations of the official metric, in logging order.

    A run that told one value and logged no series has one evaluation. `other_metrics`: the same
    of the replication's guard metrics, as far as they were logged. `code`, `data`, `hardware`:
    which code, which versions and which class of device and processor it ran with;
    `declared_code`: that of its configuration; "" where that is not known.
    """

    trial_id: int
    study_id: int
    number: int
    side: str
    pair: int
    state: int
    failure_kind: str
    train_seed: int | None
    split_seed: int | None
    best: float | None
    seconds: float | None
    peak_memory_mb: float | None
    read_split_seed: bool | None
    values: NDArray[np.float64] = field(repr=False)
    code: str = ""
    declared_code: str = ""
    data: str = ""
    hardware: str = ""
    other_metrics: Mapping[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    @property
    def is_open(self) -> bool:
        """Test whether it has no outcome yet: not run, running, or ended by an accident."""
        if self.state == TrialState.FAILED:
            return self.failure_kind != FailureKind.INFEASIBLE
        return self.state not in (TrialState.COMPLETE, TrialState.PRUNED)

    @property
    def is_accident(self) -> bool:
        return self.state == TrialState.FAILED and self.failure_kind != FailureKind.INFEASIBLE


def replicate_runs(replication: AnyReplication) -> list[ReplicateRun]:
    """All replicates, ordered by pair; of a repeated one only the newest. Three queries."""
    metric = replication.experiment.official_metric
    guards = [str(guard["metric"]) for guard in replication.declared_guards]
    rows = list(
        Trial.objects.replicates_of(replication)
        .select_related("study", "configuration")
        .defer("log_tail", "traceback", "system_attributes", "user_attributes")
        .order_by("pair", "study_id", "number")
    )
    picked = replication.picked_runs
    newest = {row.pk if picked else (row.study_id, row.pair): row for row in rows}
    read = series.read([row.pk for row in newest.values()], names=[metric, *guards])
    places = _places({row.environment_id or 0 for row in newest.values()})
    runs = [
        _run(
            row,
            {name: column.values for name, column in read.get(row.pk, {}).items()},
            metric,
            places.get(row.environment_id or 0, {}),
        )
        for row in newest.values()
    ]
    return _in_place(runs, picked) if picked else runs


def _in_place(runs: Sequence[ReplicateRun], picked: PickedRuns) -> list[ReplicateRun]:
    """Runs that were picked, each with its side and its place there as pair."""
    found = {run.trial_id: run for run in runs}
    sides = {Side.CANDIDATE: picked.candidate, Side.BASELINE: picked.baseline}
    return [
        replace(found[trial], side=side, pair=pair)
        for side, trials in sides.items()
        for pair, trial in enumerate(trials)
        if trial in found
    ]


def _places(environments: Collection[int]) -> dict[int, dict[str, Any]]:
    """The documents of environments; replicates share a few."""
    rows = Environment.objects.filter(pk__in=environments).values_list("pk", "document")
    return {pk: json.loads(document) for pk, document in rows}


def _code(place: Mapping[str, Any]) -> str:
    """Digest of a function's code, the commit of a command's; of replicates from before that was
    recorded, Verdict's own commit.
    """
    if code := recorded_code(place):
        return code.digest or code.packages[0].commit
    commit = str(place.get("commit") or "")
    return f"{commit}-dirty" if commit and place.get("dirty") else commit


def _hardware(row: Trial, place: Mapping[str, Any]) -> str:
    """2 x cuda, EPYC 7763: devices without their numbers, and the node's processor."""
    devices = [name.partition(":")[0] for name in row.device.split(",") if name]
    if not devices:
        return ""
    kinds = " and ".join(f"{devices.count(kind)} x {kind}" for kind in dict.fromkeys(devices))
    processor = str(place.get("processor") or "")
    return f"{kinds}, {processor}" if processor else kinds


def _data(configuration: Mapping[str, Any]) -> str:
    versions = configuration.get("data") or {}
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _run(
    row: Trial, logged: dict[str, NDArray[np.float64]], metric: str, place: Mapping[str, Any]
) -> ReplicateRun:
    values = logged.pop(metric, np.empty(0))
    configuration = json.loads(row.configuration.document) if row.configuration else {}
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
        train_seed=row.train_seed,
        split_seed=row.split_seed,
        best=row.value,
        seconds=row.seconds,
        peak_memory_mb=row.peak_memory_mb,
        read_split_seed=row.read_split_seed,
        values=values,
        code=_code(place),
        declared_code=str(configuration.get("code") or ""),
        data=_data(configuration),
        hardware=_hardware(row, place),
        other_metrics=logged,
    )


def test_openings(replication: AnyReplication) -> int:
    """Number of times that somebody has opened the test scores."""
    return TestOpening.objects.filter(replication=replication.pk).count()


def test_scores(replication: AnyReplication) -> dict[int, dict[str, float | None]]:
    """Sealed scores by trial. Call only when an opening has been recorded."""
    if not test_openings(replication):
        raise PermissionError("the test scores of this replication have not been opened")
    found: dict[int, dict[str, float | None]] = {}
    runs = Trial.objects.replicates_of(replication)
    scores = SealedScore.objects.filter(trial__in=runs)
    for trial_id, name, value in scores.values_list("trial_id", "name", "value"):
        found.setdefault(trial_id, {})[name] = value
    return found
