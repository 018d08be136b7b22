"""Read an experiment as the rules across its trials see it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.analysis.curves import trial_reading
from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.curves.trial_reading import TrialReading
from experiments.analysis.design.hyperparameter_kinds import (
    HyperparameterKind,
    first_of,
    kind_of,
    number_of,
)
from experiments.analysis.diagnosis import Status
from experiments.analysis.space.axis import AxisKind
from experiments.analysis.space.edge_probe import PASSED_BY, ProbedEdge
from experiments.analysis.space.learning_rate import RateReading
from experiments.analysis.space.search_trials import ExperimentView, TrialSummary
from experiments.design.catalogue import SAMPLERS
from experiments.design.document import experiment_file
from experiments.design.metrics import guess
from experiments.design.queries.axes import TrialPoint, axes
from experiments.design.queries.records import AnyExperiment
from experiments.design.space.search_space import Arm, SearchSpace, show
from experiments.design.trial_names import trial_name
from experiments.models import Decision, EdgeProbe, Experiment, Trial
from experiments.models import TrialReading as StoredReading
from experiments.models.trial import FailureKind, StudyKind, TrialState
from experiments.models.trial_encoding import decode

MOST_RATE_TRIALS = 200
# Of the most recent replicates of a project, its deviation over seeds is estimated.
_REPLICATES = 200
_NOT_TRIED = (FailureKind.LOST, FailureKind.CANCELLED)  # says nothing of the configuration


@dataclass(frozen=True, slots=True)
class _Row:
    """One finished search trial as stored. `score` is NaN where it has none."""

    id: int
    number: int
    state: int
    score: float
    arm: int
    parameters: Mapping[str, Any]


class ReadingCache:
    """Readings of finished trials never change: each is read from the database once.

    One for each thread or lock; `most` experiments are kept.
    """

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._cache: dict[int, dict[int, TrialReading]] = {}

    def readings(self, experiment_id: int, trial_ids: Sequence[int]) -> dict[int, TrialReading]:
        """Readings of these trials, as far as there are any."""
        cached = self._cache.pop(experiment_id, {})
        self._cache[experiment_id] = cached  # the most recently used stands last
        while len(self._cache) > self._most:
            self._cache.pop(next(iter(self._cache)))
        missing = [trial for trial in trial_ids if trial not in cached]
        for start in range(0, len(missing), 500):
            rows = StoredReading.objects.filter(trial_id__in=missing[start : start + 500])
            for trial_id, text in rows.values_list("trial_id", "document"):
                reading = trial_reading.from_document(text)
                if reading is not None:
                    cached[trial_id] = reading
        return cached


def experiment_view(experiment_id: int, cache: ReadingCache | None = None) -> ExperimentView:
    """Everything that rules across trials read. Six queries, whatever the number of trials."""
    experiment = Experiment.objects.select_related("project").get(pk=experiment_id)
    file = experiment_file.stored(experiment.document)
    direction = Direction(experiment.direction)
    rows = _rows(experiment)
    readings = (cache or ReadingCache()).readings(experiment_id, [row.id for row in rows])
    trained = _trained(rows, readings)
    every = file.arms()
    arms = {arm.index: _words(arm.values) for arm in every}
    scientific = frozenset(
        hyperparameter.name for hyperparameter in file.space.of_role("scientific")
    )
    searched = {hyperparameter.name for arm in every for hyperparameter in arm.searched}
    summaries = [_summary(row, readings.get(row.id), every) for row in rows]
    metric = file.metrics.get(experiment.official_metric) or guess(experiment.official_metric)
    rate_axis = first_of(sorted(searched), HyperparameterKind.LEARNING_RATE)
    best = _best(rows, trained, direction)
    complete = _complete(best, every) if best else None
    return ExperimentView(
        axes=axes(file.space, _points(rows, trained)),
        trials=summaries,
        direction=direction,
        arms=arms if len(arms) > 1 else {0: "all trials"},
        scientific=scientific & searched,
        rate_axis=rate_axis,
        rate_trials=_rate_trials(rows, readings, direction, _places(rows, file.space, rate_axis)),
        resolution=metric.resolution,
        trial_sd=seed_deviation(experiment),
        adaptive=SAMPLERS[experiment.sampler].adaptive,
        regulariser_is_scientific=_any_regulariser(scientific),
        regulariser_swept=_any_regulariser(searched | scientific),
        max_train_steps=_planned(complete or {}, readings),
        warmed_up=bool(complete and (number_of(complete, HyperparameterKind.WARMUP) or 0) > 0),
        baseline=_champion(experiment),
        best=complete,
        probes=_probes(experiment, best.id) if best else (),
        goes_on=experiment.finished_at is None and experiment.trial_count < experiment.budget,
    )


def _probes(experiment: Experiment, best: int) -> tuple[ProbedEdge, ...]:
    """The newest word on every probed edge, passed by where it did not move the best trial."""
    found: dict[str, ProbedEdge] = {}
    rows = EdgeProbe.objects.filter(experiment=experiment, state=EdgeProbe.State.DONE)
    for moved, text in rows.values_list("moved", "edges"):
        for probe in edges_of(text):
            stands = best in json.loads(moved)
            found.setdefault(probe.subject, probe if stands else replace(probe, outcome=PASSED_BY))
    return tuple(found.values())


def edges_of(text: str) -> tuple[ProbedEdge, ...]:
    """The edges of a stored probe."""
    return tuple(
        ProbedEdge(**{**edge, "points": tuple(edge["points"]), "live": tuple(edge["live"])})
        for edge in json.loads(text)
    )


def seed_deviation(experiment: AnyExperiment) -> float | None:
    """Deviation of one configuration's scores over fresh seeds, pooled over the project's newest.

    In the official metric's unit, from complete replicates of the same metric; None below three
    of one configuration.
    """
    rows = (
        Trial.objects.filter(
            study__project_id=experiment.project_id,
            study__kind=StudyKind.REPLICATION,
            study__experiment__official_metric=experiment.official_metric,
            state=TrialState.COMPLETE,
            value__isnull=False,
        )
        .order_by("-pk")
        .values_list("study_id", "value")[:_REPLICATES]
    )
    groups: dict[int, list[float]] = {}
    for study, value in rows:
        groups.setdefault(study, []).append(float(value or 0.0))
    squares = [
        (np.var(values, ddof=1), len(values) - 1) for values in groups.values() if len(values) >= 3
    ]
    if not squares:
        return None
    freedom = sum(degrees for _, degrees in squares)
    found = math.sqrt(sum(float(square) * degrees for square, degrees in squares) / freedom)
    return found if found > 0 else None


def _rows(experiment: AnyExperiment) -> list[_Row]:
    rows = (
        Trial.objects.filter(
            study__experiment=experiment.pk,
            study__kind=StudyKind.SEARCH,
            study__deleted_at__isnull=True,
            state__in=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED),
        )
        .exclude(failure_kind__in=_NOT_TRIED)
        .order_by("study__arm_index", "number")
        .values_list("pk", "number", "state", "value", "study__arm_index", "parameters")
    )
    return [
        _Row(pk, number, state, math.nan if value is None else value, arm, decode(text))
        for pk, number, state, value, arm, text in rows
    ]


def _trained(rows: Sequence[_Row], readings: Mapping[int, TrialReading]) -> dict[int, bool]:
    """Test whether each trial trained: it did not fail, and its training loss fell."""
    return {
        row.id: row.state != TrialState.FAILED
        and (row.id not in readings or readings[row.id].trained)
        for row in rows
    }


def _feasible(row: _Row, reading: TrialReading | None) -> bool:
    """Test whether a trial ended in finite numbers, however well it learned."""
    ended = row.state == TrialState.PRUNED or math.isfinite(row.score)
    return row.state != TrialState.FAILED and ended and (reading is None or reading.finite)


def _points(rows: Sequence[_Row], feasible: Mapping[int, bool]) -> list[TrialPoint]:
    """Pruned trials have no score that could be compared, so they are left out."""
    return [
        TrialPoint(row.parameters, row.score, feasible[row.id], row.arm)
        for row in rows
        if row.state != TrialState.PRUNED
    ]


def _summary(row: _Row, reading: TrialReading | None, arms: Sequence[Arm]) -> TrialSummary:
    read = reading or TrialReading()
    complete = _complete(row, arms)
    return TrialSummary(
        id=row.id,
        number=row.number,
        name=trial_name(row.number, arm=row.arm, arms=len(arms)),
        score=row.score,
        feasible=_feasible(row, reading),
        configuration=json.dumps(row.parameters, sort_keys=True, default=str),
        pruned=row.state == TrialState.PRUNED,
        arm=row.arm,
        rules={rule: Status(status) for rule, status in read.rules.items()},
        best_step_share=read.best_step_share,
        rate=number_of(complete, HyperparameterKind.LEARNING_RATE) or math.nan,
        fit=read.fit,
        early_divergence=read.early_divergence,
        fit_step=read.fit_step,
        batch_size=number_of(complete, HyperparameterKind.BATCH_SIZE) or math.nan,
        throughput=read.throughput,
        late_deviation=read.late_deviation,
        improvement=read.improvement,
        resolution=read.resolution,
    )


def _complete(row: _Row, arms: Sequence[Arm]) -> Mapping[str, Any]:
    """All hyperparameters of a trial: searched, fixed, and those of its arm."""
    return arms[row.arm].complete(row.parameters) if row.arm < len(arms) else row.parameters


def _best(rows: Sequence[_Row], feasible: Mapping[int, bool], direction: Direction) -> _Row | None:
    sign = 1.0 if direction is Direction.MINIMIZE else -1.0
    known = [
        row
        for row in rows
        if feasible[row.id] and row.state == TrialState.COMPLETE and math.isfinite(row.score)
    ]
    return min(known, key=lambda row: sign * row.score, default=None)


def _rate_trials(
    rows: Sequence[_Row],
    readings: Mapping[int, TrialReading],
    direction: Direction,
    places: Mapping[int, tuple[float, ...]],
) -> list[RateReading]:
    """Of very many trials the best and a spread of the others: each is compared with each."""
    sign = 1.0 if direction is Direction.MINIMIZE else -1.0
    known = sorted(
        (row for row in rows if row.id in readings and readings[row.id].rate is not None),
        key=lambda row: sign * row.score if math.isfinite(row.score) else math.inf,
    )
    best, rest = known[: MOST_RATE_TRIALS // 2], known[MOST_RATE_TRIALS // 2 :]
    every = max(1, math.ceil(len(rest) / (MOST_RATE_TRIALS // 2)))
    chosen = ((places[row.id], readings[row.id].rate) for row in (*best, *rest[::every]))
    return [replace(rate, place=place) for place, rate in chosen if rate is not None]


def _places(
    rows: Sequence[_Row], space: SearchSpace, rate_axis: str | None
) -> dict[int, tuple[float, ...]]:
    """Positions of all searched hyperparameters but the rate; choices without order as 0 and 1.

    What a trial lacks lies in the middle.
    """
    points = [TrialPoint(row.parameters, row.score, True, row.arm) for row in rows]
    columns: list[np.ndarray] = []
    for axis in axes(space, points):
        if axis.name == rate_axis:
            continue
        if axis.kind is AxisKind.CATEGORICAL:
            levels = np.unique(axis.unit[np.isfinite(axis.unit)])
            columns += [np.where(axis.unit == level, 1.0, 0.0) for level in levels]
        else:
            columns.append(np.where(np.isfinite(axis.unit), axis.unit, 0.5))
    arms = {row.arm for row in rows}
    if len(arms) > 1:
        columns += [np.array([row.arm == arm for row in rows], dtype=np.float64) for arm in arms]
    table = np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0))
    return {
        row.id: tuple(float(coordinate) for coordinate in place)
        for row, place in zip(rows, table, strict=True)
    }


def _planned(parameters: Mapping[str, Any], readings: Mapping[int, TrialReading]) -> int | None:
    """Number of steps that a trial was meant to make, in the steps that it logs."""
    logged = [
        reading.last_step for reading in readings.values() if math.isfinite(reading.last_step)
    ]
    longest = max(logged, default=0.0)
    for kind in (HyperparameterKind.STEPS, HyperparameterKind.EPOCHS):
        planned = number_of(parameters, kind)
        if planned and longest <= planned:
            return round(planned)
    return round(longest) or None


def _any_regulariser(names: frozenset[str] | set[str]) -> bool:
    return any(kind_of(name) is HyperparameterKind.REGULARISER for name in names)


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {show(value)}" for name, value in values.items())


def _champion(experiment: AnyExperiment) -> Mapping[str, Any] | None:
    """The hyperparameters of the project's champion, of the same objective."""
    crowning = Decision.objects.crowning(experiment.project_id)
    if crowning is None or crowning.candidate is None:
        return None
    document = json.loads(crowning.candidate.document)
    found: Mapping[str, Any] = document.get("parameters") or {}
    return found if document.get("objective") == experiment.objective else None
