"""Read an experiment as the rules across its trials see it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.design.hyperparameter_kinds import (
    HyperparameterKind,
    first_of,
    kind_of,
    number_of,
)
from experiments.analysis.space.axis import Axis, AxisKind
from experiments.analysis.space.edge_probe import PASSED_BY, ProbedEdge
from experiments.analysis.space.learning_rate import RateReading
from experiments.analysis.space.search_trials import ExperimentView
from experiments.design.catalogue import SAMPLERS
from experiments.design.document import experiment_file
from experiments.design.metrics import guess
from experiments.design.queries.axes import axes_of, positions
from experiments.design.queries.ended_trials import EndedTrial, TrialCache, complete_of
from experiments.design.queries.records import AnyExperiment
from experiments.design.space.search_space import SearchSpace, show
from experiments.models import Decision, EdgeProbe, Experiment, Trial
from experiments.models.trial import StudyKind, TrialState

MOST_RATE_TRIALS = 200
# Of the most recent replicates of a project, its deviation over seeds is estimated.
_REPLICATES = 200


def experiment_view(experiment_id: int, cache: TrialCache | None = None) -> ExperimentView:
    """Everything that rules across trials read. Seven queries, whatever the number of trials.

    `cache`: what was read before; trials that have ended since are all that is read anew.
    """
    experiment = Experiment.objects.select_related("project").get(pk=experiment_id)
    file = experiment_file.stored(experiment.document)
    direction = Direction(experiment.direction)
    ended = (cache or TrialCache()).ended(experiment)
    every = file.arms()
    arms = {arm.index: _words(arm.values) for arm in every}
    scientific = frozenset(
        hyperparameter.name for hyperparameter in file.space.of_role("scientific")
    )
    searched = {hyperparameter.name for arm in every for hyperparameter in arm.searched}
    metric = file.metrics.get(experiment.official_metric) or guess(experiment.official_metric)
    rate_axis = first_of(sorted(searched), HyperparameterKind.LEARNING_RATE)
    best = _best(ended, direction)
    complete = complete_of(best.parameters, best.summary.arm, every) if best else None
    along = _axes(file.space, ended)
    # Pruned trials have no score that could be compared, so they are left out.
    finished = np.array([not trial.summary.pruned for trial in ended], dtype=np.bool_)
    return ExperimentView(
        axes=[_of_some(axis, finished) for axis in along],
        trials=[trial.summary for trial in ended],
        direction=direction,
        arms=arms if len(arms) > 1 else {0: "all trials"},
        scientific=scientific & searched,
        rate_axis=rate_axis,
        rate_trials=_rate_trials(ended, direction, along, rate_axis),
        resolution=metric.resolution,
        trial_sd=seed_deviation(experiment),
        adaptive=SAMPLERS[experiment.sampler].adaptive,
        regulariser_is_scientific=_any_regulariser(scientific),
        regulariser_swept=_any_regulariser(searched | scientific),
        max_train_steps=_planned(complete or {}, ended),
        warmed_up=bool(complete and (number_of(complete, HyperparameterKind.WARMUP) or 0) > 0),
        baseline=_champion(experiment),
        best=complete,
        probes=_probes(experiment, best.summary.id) if best else (),
        goes_on=experiment.finished_at is None and experiment.trial_count < experiment.budget,
    )


def _axes(space: SearchSpace, ended: Sequence[EndedTrial]) -> list[Axis]:
    """Every trial along every searched hyperparameter."""
    rows = np.array([trial.positions for trial in ended], dtype=np.float64)
    return axes_of(
        space,
        rows if ended else positions(space, ()),
        scores=np.array([trial.summary.score for trial in ended], dtype=np.float64),
        feasible=np.array([trial.trained for trial in ended], dtype=np.bool_),
        arms=np.array([trial.summary.arm for trial in ended], dtype=np.int64),
    )


def _of_some(axis: Axis, chosen: NDArray[np.bool_]) -> Axis:
    arms = None if axis.arm is None else axis.arm[chosen]
    return replace(
        axis,
        unit=axis.unit[chosen],
        scores=axis.scores[chosen],
        feasible=axis.feasible[chosen],
        arm=arms if arms is not None and np.unique(arms).size > 1 else None,
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


def _best(ended: Sequence[EndedTrial], direction: Direction) -> EndedTrial | None:
    sign = 1.0 if direction is Direction.MINIMIZE else -1.0
    known = [
        trial
        for trial in ended
        if trial.trained and trial.is_complete and math.isfinite(trial.summary.score)
    ]
    return min(known, key=lambda trial: sign * trial.summary.score, default=None)


def _rate_trials(
    ended: Sequence[EndedTrial], direction: Direction, along: Sequence[Axis], rate_axis: str | None
) -> list[RateReading]:
    """Of very many trials the best and a spread of the others: each is compared with each."""
    sign = 1.0 if direction is Direction.MINIMIZE else -1.0
    scores = [trial.summary.score for trial in ended]
    known = sorted(
        (place for place, trial in enumerate(ended) if trial.reading.rate is not None),
        key=lambda place: sign * scores[place] if math.isfinite(scores[place]) else math.inf,
    )
    if not known:
        return []
    best, rest = known[: MOST_RATE_TRIALS // 2], known[MOST_RATE_TRIALS // 2 :]
    every = max(1, math.ceil(len(rest) / (MOST_RATE_TRIALS // 2)))
    chosen = [*best, *rest[::every]]
    places = _places(along, [trial.summary.arm for trial in ended], chosen, rate_axis)
    rates = [ended[place].reading.rate for place in chosen]
    return [
        replace(rate, place=tuple(float(coordinate) for coordinate in place))
        for rate, place in zip(rates, places, strict=True)
        if rate is not None
    ]


def _places(
    along: Sequence[Axis], arms: Sequence[int], chosen: Sequence[int], rate_axis: str | None
) -> np.ndarray:
    """Positions [N, P] of some trials in all searched hyperparameters but the rate; choices
    without order as 0 and 1.

    What a trial lacks lies in the middle.
    """
    columns: list[np.ndarray] = []
    for axis in along:
        if axis.name == rate_axis:
            continue
        unit = axis.unit[list(chosen)]
        if axis.kind is AxisKind.CATEGORICAL:
            levels = np.unique(axis.unit[np.isfinite(axis.unit)])
            columns += [np.where(unit == level, 1.0, 0.0) for level in levels]
        else:
            columns.append(np.where(np.isfinite(unit), unit, 0.5))
    every = set(arms)
    if len(every) > 1:
        own = np.array([arms[place] for place in chosen])
        columns += [(own == arm).astype(np.float64) for arm in every]
    return np.stack(columns, axis=1) if columns else np.zeros((len(chosen), 0))


def _planned(parameters: Mapping[str, Any], ended: Sequence[EndedTrial]) -> int | None:
    """Number of steps that a trial was meant to make, in the steps that it logs."""
    last = (trial.reading.last_step for trial in ended)
    longest = max((step for step in last if math.isfinite(step)), default=0.0)
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
