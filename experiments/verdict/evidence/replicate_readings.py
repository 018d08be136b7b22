"""Readings of one replication's runs: scores, costs, guards, test scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.analysis.seeds import replication as scoring
from experiments.analysis.seeds.gains import Gains, compare_gains
from experiments.analysis.seeds.guards import Guard, Limit
from experiments.analysis.seeds.validity import RunFacts
from experiments.design.metrics import guess, is_test
from experiments.design.queries.records import AnyExperiment, AnyReplication
from experiments.verdict.queries.replicates import ReplicateRun, test_openings, test_scores

SIDES = ("candidate", "baseline")
# Guards on what a run cost, which every run records without logging it.
COST_GUARDS = {"seconds": "training time in seconds", "peak_memory_mb": "peak memory in MB"}


@dataclass(frozen=True, slots=True)
class Selection:
    """The score that won the search, and how far it lies above its own fresh seeds."""

    tuning_score: float
    fresh_mean: float | None
    deviations_above: float | None


@dataclass(frozen=True, slots=True)
class Costs:
    """Means over the replicates of one side."""

    seconds: float | None
    peak_memory_mb: float | None


@dataclass(frozen=True, slots=True)
class TestScores:
    """The test scores, once somebody has opened them."""

    __test__ = False  # not a test class

    metric: str
    openings: int
    candidate_mean: float | None
    baseline_mean: float | None
    gains: Gains | None


def by_side(runs: Sequence[ReplicateRun]) -> dict[str, list[ReplicateRun]]:
    return {
        side: sorted((run for run in runs if run.side == side), key=lambda run: run.pair)
        for side in SIDES
    }


def share_seeds(runs: Mapping[str, Sequence[ReplicateRun]]) -> bool:
    """Test whether replicate i of both sides ran under the same seeds, for every i.

    Workers always do so; an external program may have used seeds of its own.
    """
    ours, theirs = (
        [(run.pair, run.train_seed, run.split_seed) for run in runs[side]] for side in SIDES
    )
    return ours == theirs


def score_of(run: ReplicateRun, replication: AnyReplication) -> float | None:
    if run.is_open:
        return None
    direction = direction_of(replication.experiment)
    rule = replication.score_rule
    return scoring.score(run.values, rule=rule, direction=direction)  # type: ignore[arg-type]


def direction_of(experiment: AnyExperiment) -> scoring.Direction:
    return "minimize" if experiment.direction == "minimize" else "maximize"


def unmeasured(runs: Sequence[ReplicateRun], metric: str) -> str:
    """Name the finished replicates that never logged the official metric."""
    silent = [run for run in runs if not run.is_open and not run.values.size]
    if not silent:
        return ""
    count = "1 replicate" if len(silent) == 1 else f"{len(silent)} replicates"
    return f"{count} ended without a single value of {metric}."


def guard_of(limit: Limit, runs: Mapping[str, Sequence[ReplicateRun]]) -> Guard:
    """A guard's values over the replicates of both sides."""
    ours, theirs = (tuple(guard_value(run, limit.metric) for run in runs[side]) for side in SIDES)
    name = guard_name(limit.metric)
    return Guard(name, ours, limit.limit, limit.bound, theirs, share_seeds(runs))


def facts_of(run: ReplicateRun, score: float | None) -> RunFacts:
    """Conditions of a finished replicate; one that diverged ended early."""
    diverged = score is None or not math.isfinite(score)
    return RunFacts(
        trial=run.trial_id,
        code=run.code,
        data=run.data,
        hardware=run.hardware,
        evaluations=None if diverged else len(run.values),
        declared_code=run.declared_code,
    )


def guard_name(metric: str) -> str:
    """Name of a guard metric in sentences: costs in words, logged metrics by their name."""
    return COST_GUARDS.get(metric, metric)


def guard_value(run: ReplicateRun, metric: str) -> float:
    """A guard metric of one replicate: its cost, or the median of the series' last fifth."""
    if metric in COST_GUARDS:
        cost = run.seconds if metric == "seconds" else run.peak_memory_mb
        return math.nan if cost is None else cost
    return scoring.score(run.other_metrics.get(metric, ()), direction="maximize")


def mean_best(runs: Sequence[ReplicateRun], experiment: AnyExperiment) -> float | None:
    direction = direction_of(experiment)
    return finite_mean(
        [scoring.score(run.values, rule="best", direction=direction) for run in runs]
    )


def selection_of(replication: AnyReplication, scores: Sequence[float | None]) -> Selection | None:
    trial = replication.candidate_trial
    if trial is None or trial.value is None:
        return None
    fresh = np.array([score for score in scores if score is not None and math.isfinite(score)])
    mean = float(fresh.mean()) if fresh.size else None
    spread = float(fresh.std(ddof=1)) if fresh.size > 1 else 0.0
    sign = -1.0 if replication.experiment.direction == "minimize" else 1.0
    above = sign * (trial.value - mean) / spread if mean is not None and spread > 0 else None
    return Selection(trial.value, mean, above)


def costs_of(runs: Sequence[ReplicateRun]) -> Costs:
    seconds = [run.seconds for run in runs if run.seconds is not None]
    memory = [run.peak_memory_mb for run in runs if run.peak_memory_mb is not None]
    return Costs(
        float(np.mean(seconds)) if seconds else None, float(np.mean(memory)) if memory else None
    )


def test_metric_of(experiment: AnyExperiment, declared: Mapping[str, Any]) -> str:
    """The test metric that stands beside the official one: same words, other split."""
    for name in declared:
        if is_test(name, declared):
            return name
    own = guess(experiment.official_metric)
    for word in ("validation", "valid", "val", "dev", "eval"):
        if own.split == "validation" and word in experiment.official_metric:
            return experiment.official_metric.replace(word, "test", 1)
    return ""


def read_test_scores(
    replication: AnyReplication,
    runs: Mapping[str, Sequence[ReplicateRun]],
    scores: Mapping[str, Sequence[float | None]],
    metric: str,
) -> TestScores | None:
    openings = test_openings(replication)
    if not openings:
        return None
    sealed = test_scores(replication)
    test: dict[str, list[float]] = {}
    for side in SIDES:
        values = [sealed.get(run.trial_id, {}).get(metric) for run in runs[side]]
        test[side] = [math.nan if value is None else value for value in values]
    dev = {
        side: [math.nan if score is None else score for score in scores[side]] for side in SIDES
    }
    return TestScores(
        metric=metric,
        openings=openings,
        candidate_mean=finite_mean(test["candidate"]),
        baseline_mean=finite_mean(test["baseline"]),
        gains=compare_gains(
            (dev["candidate"], dev["baseline"]),
            (test["candidate"], test["baseline"]),
            direction=direction_of(replication.experiment),
        ),
    )


def finite_mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else None
