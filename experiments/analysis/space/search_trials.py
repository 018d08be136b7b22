"""Input of rules across trials: an experiment's search trials and its axes.

A configuration that was tried more than once is one point of the search space.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.diagnosis import Status
from experiments.analysis.space.axis import Axis
from experiments.analysis.space.edge_probe import ProbedEdge
from experiments.analysis.space.learning_rate import RateReading, RateTrial


@dataclass(frozen=True, slots=True)
class TrialSummary:
    """One search trial as the rules across trials see it.

    number: its place within its arm; name: what people call it; id: that of its record. score:
    official metric, nan if none. rules: status of each rule on this trial. best_step_share: when
    in its run it was best. rate: its learning rate; fit: lowest training loss as a share of where
    it began; early_divergence: it diverged in the first tenth; fit_step: first step of a perfect
    fit; throughput: examples per second; late_deviation, improvement: deviation of its last
    evaluations around their trend, and all it gained, in the metric's unit; resolution: the
    metric's. configuration: a key of all its hyperparameters, empty if unknown. Each nan where
    unknown.
    """

    number: int
    score: float
    feasible: bool
    pruned: bool = False
    arm: int = 0
    rules: Mapping[str, Status] | None = None
    best_step_share: float = math.nan
    rate: float = math.nan
    fit: float = math.nan
    early_divergence: bool = False
    configuration: str = ""
    id: int = 0
    fit_step: float = math.nan
    batch_size: float = math.nan
    throughput: float = math.nan
    late_deviation: float = math.nan
    improvement: float = math.nan
    resolution: float = 0.0
    name: str = ""

    def says(self, rule: str) -> bool | None:
        """Tell whether a rule fired on this trial; None if it could not tell."""
        status = (self.rules or {}).get(rule, Status.NOT_CHECKABLE)
        return None if status is Status.NOT_CHECKABLE else status is Status.FIRED


@dataclass(frozen=True, slots=True)
class ExperimentView:
    """Everything the rules across trials read.

    axes: searched hyperparameters, rows are the same trials (pruned ones left out). scientific:
    names of the scientific ones among them. arms: name of each arm by number. rate_axis: name of
    the learning rate's axis, if searched. rate_trials: curves for the learning-rate regime.
    adaptive: the sampler follows good trials. regulariser_is_scientific: weak ones are expected
    to overfit. max_train_steps: planned length of a trial. baseline, best: the hyperparameters of
    the champion and of the best trial, as far as both are known. probes: edges that were probed.
    goes_on: more trials are to come.
    """

    axes: Sequence[Axis]
    trials: Sequence[TrialSummary]
    direction: Direction
    arms: Mapping[int, str]
    scientific: frozenset[str] = frozenset()
    rate_axis: str | None = None
    rate_trials: Sequence[RateTrial | RateReading] = ()
    resolution: float = 0.0
    trial_sd: float | None = None
    adaptive: bool = False
    regulariser_is_scientific: bool = False
    regulariser_swept: bool = False
    max_train_steps: int | None = None
    warmed_up: bool = False
    baseline: Mapping[str, object] | None = None
    best: Mapping[str, object] | None = None
    probes: Sequence[ProbedEdge] = ()
    goes_on: bool = False


def feasible_of(view: ExperimentView) -> list[TrialSummary]:
    """Return the trials that ended in a finite score."""
    return [t for t in view.trials if t.feasible and not t.pruned and math.isfinite(t.score)]


def error_of(trial: TrialSummary, direction: Direction) -> float:
    """Return a trial's score turned so that lower is better."""
    return -trial.score if direction is Direction.MAXIMIZE else trial.score


def repeats_of(view: ExperimentView) -> list[list[TrialSummary]]:
    """Return the feasible trials of each configuration that was tried more than once."""
    groups: dict[tuple[int, str], TrialSummary | list[TrialSummary]] = {}
    for trial in feasible_of(view):
        if trial.configuration:
            known = groups.setdefault((trial.arm, trial.configuration), trial)
            if isinstance(known, list):
                known.append(trial)
            elif known is not trial:
                groups[trial.arm, trial.configuration] = [known, trial]
    return [group for group in groups.values() if isinstance(group, list)]


def each_once(view: ExperimentView, repeats: Sequence[Sequence[TrialSummary]]) -> ExperimentView:
    """Return the view with the first trial of each repeated configuration, at their mean score."""
    if not repeats:
        return view
    means = {id(group[0]): float(np.mean([trial.score for trial in group])) for group in repeats}
    extra = {id(trial) for group in repeats for trial in group[1:]}
    finished = [trial for trial in view.trials if not trial.pruned]
    keep = np.array([id(trial) not in extra for trial in finished])
    axes = view.axes
    if all(axis.unit.size == keep.size for axis in axes):
        scores = np.array([means.get(id(trial), trial.score) for trial in finished])[keep]
        axes = [
            replace(
                axis,
                unit=axis.unit[keep],
                feasible=axis.feasible[keep],
                scores=np.where(np.isfinite(axis.scores[keep]), scores, axis.scores[keep]),
                arm=None if axis.arm is None else axis.arm[keep],
            )
            for axis in axes
        ]
    trials = [
        replace(trial, score=means.get(id(trial), trial.score))
        for trial in view.trials
        if id(trial) not in extra
    ]
    return replace(view, axes=axes, trials=trials)
