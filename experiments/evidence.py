"""Gather what the replicates of a repetition say: read, then think. Shared by pages and API."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from experiments import experiment_file, spread
from experiments.analysis import replication as scoring
from experiments.analysis.gains import Gains, compare_gains
from experiments.analysis.looks import LevelSource, Schedule
from experiments.analysis.power import (
    Detectable,
    SeedsNeeded,
    Spread,
    expected_spread,
    seeds_needed,
    what_can_be_shown,
)
from experiments.analysis.variance import SourcesOfVariance
from experiments.analysis.verdict import Verdict, judge
from experiments.metrics import guess, is_test
from experiments.models import Experiment, Replication
from experiments.queries import repetitions
from experiments.queries.replicates import ReplicateRun, replicate_runs, test_scores
from experiments.search_space import Fixed, SearchSpace
from experiments.services.decisions import replication_state

SIDES = ("candidate", "baseline")


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
class TestLook:
    """The test scores, once somebody has opened them."""

    __test__ = False  # not a test class

    metric: str
    openings: int
    candidate_mean: float | None
    baseline_mean: float | None
    gains: Gains | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a decision rests on, at one moment.

    `verdict` is None while a look is not complete: between declared looks only the seeds are
    shown. `runs` and `scores` are in the order of the pairs; a score is NaN for a run that did
    not end usably, and `scores[side][i]` is None while replicate i is open.
    """

    replication: Replication
    schedule: Schedule
    look_index: int
    runs: Mapping[str, Sequence[ReplicateRun]]
    scores: Mapping[str, Sequence[float | None]]
    open_runs: int
    accidents: int
    verdict: Verdict | None
    waiting: str
    selection: Selection | None
    costs: Mapping[str, Costs]
    sources: SourcesOfVariance
    test: TestLook | None
    test_metric: str
    bounds: Mapping[str, Any]
    open_findings: Sequence[Mapping[str, Any]]
    dismissed_findings: Sequence[Mapping[str, Any]]
    state: str

    @property
    def outcome(self) -> str:
        """adopt, reject, undecided, or "" while there is no verdict."""
        if self.verdict is None or self.verdict.outcome == "none":
            return ""
        return self.verdict.outcome

    def document(self) -> dict[str, Any]:
        """The evidence as plain JSON, to be frozen into a decision."""
        return {
            "metric": self.replication.experiment.official_metric,
            "direction": self.replication.experiment.direction,
            "goal": self.replication.experiment.goal,
            "experiment": self.replication.experiment.name,
            "candidate": json.loads(self.replication.candidate.document),
            "baseline": _document(self.replication),
            "score_rule": self.replication.score_rule,
            "margin": self.replication.margin,
            "looks": list(self.schedule.looks),
            "look": self.look_index + 1,
            "level": self.schedule.level,
            "replicates": {side: self._replicates(side) for side in SIDES},
            "verdict": plain(asdict(self.verdict)) if self.verdict else None,
            "selection": plain(asdict(self.selection)) if self.selection else None,
            "costs": {side: plain(asdict(costs)) for side, costs in self.costs.items()},
            "sources_of_variance": plain(asdict(self.sources)),
            "test": plain(asdict(self.test)) if self.test else None,
            "bounds": plain(self.bounds),
            "open_findings": plain(self.open_findings),
            "dismissed_findings": plain(self.dismissed_findings),
            "state": self.state,
        }

    def _replicates(self, side: str) -> list[dict[str, Any]]:
        return [
            {
                "pair": run.pair,
                "train_seed": run.train_seed,
                "split_seed": run.split_seed,
                "score": plain(score),
                "trial": run.trial_id,
                "evaluations": len(run.values),
            }
            for run, score in zip(self.runs[side], self.scores[side], strict=True)
        ]


def _document(replication: Replication) -> Any:
    return json.loads(replication.baseline.document) if replication.baseline else None


def plain(value: Any) -> Any:
    """JSON-ready copy: numbers that are not finite become text, tuples lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def gather(replication: Replication) -> Evidence:
    """Read the replicates and judge them at the present look."""
    experiment = replication.experiment
    runs = _by_side(replicate_runs(replication))
    scores = {side: [_score(run, replication) for run in runs[side]] for side in SIDES}
    everything = [run for side in SIDES for run in runs[side]]
    accidents = sum(run.is_accident for run in everything)
    open_runs = sum(run.is_open for run in everything)
    looks = tuple(json.loads(replication.looks))
    schedule = Schedule(looks, replication.level, cast(LevelSource, replication.level_source))
    look_index = looks.index(replication.pairs_queued)
    verdict = None if open_runs else _judge(replication, schedule, look_index, runs, scores)
    file = experiment_file.parse(experiment.source)
    named_test = _test_metric(experiment, file.metrics)
    return Evidence(
        replication=replication,
        schedule=schedule,
        look_index=look_index,
        runs=runs,
        scores=scores,
        open_runs=open_runs,
        accidents=accidents,
        verdict=verdict,
        waiting=_waiting(open_runs, accidents, replication.pairs_queued),
        selection=_selection(replication, scores["candidate"]) if verdict else None,
        costs={side: _costs(runs[side]) for side in SIDES},
        sources=spread.of_candidate(experiment, replication.candidate).sources,
        test=_test(replication, runs, scores, named_test) if verdict else None,
        test_metric=named_test,
        bounds=_bounds(file.space),
        open_findings=repetitions.fired_findings(experiment, dismissed=False),
        dismissed_findings=repetitions.fired_findings(experiment, dismissed=True),
        state=replication_state(replication),
    )


def _bounds(space: SearchSpace) -> dict[str, Any]:
    """The hyperparameters that were fixed: the conclusion holds for these values only."""
    fixed = ((each.name, each.domain) for each in space.of_role("fixed"))
    return {
        name: dict(domain.values) if domain.by else domain.value
        for name, domain in fixed
        if isinstance(domain, Fixed)
    }


def _by_side(runs: Sequence[ReplicateRun]) -> dict[str, list[ReplicateRun]]:
    return {
        side: sorted((run for run in runs if run.side == side), key=lambda run: run.pair)
        for side in SIDES
    }


def _score(run: ReplicateRun, replication: Replication) -> float | None:
    if run.is_open:
        return None
    direction = _direction(replication.experiment)
    rule = replication.score_rule
    return scoring.score(run.values, rule=rule, direction=direction)  # type: ignore[arg-type]


def _direction(experiment: Experiment) -> scoring.Direction:
    return "minimize" if experiment.direction == "minimize" else "maximize"


def _waiting(open_runs: int, accidents: int, pairs: int) -> str:
    if accidents:
        count = "1 replicate" if accidents == 1 else f"{accidents} replicates"
        return f"{count} failed by accident; repeat with the same seeds."
    if open_runs:
        done = 2 * pairs - open_runs
        return f"{done} of {2 * pairs} replicates are done; the verdict comes when all are."
    return ""


def _judge(
    replication: Replication,
    schedule: Schedule,
    look_index: int,
    runs: Mapping[str, Sequence[ReplicateRun]],
    scores: Mapping[str, Sequence[float | None]],
) -> Verdict:
    experiment = replication.experiment
    values = {
        side: [math.nan if score is None else score for score in scores[side]] for side in SIDES
    }
    metric = experiment_file.parse(experiment.source).metrics.get(experiment.official_metric)
    # Only a run that read its split seed was repeated over splits.
    over_splits = all(run.read_split_seed for side in SIDES for run in runs[side])
    return judge(
        values["candidate"],
        values["baseline"],
        direction=_direction(experiment),
        margin=replication.margin,
        schedule=schedule,
        look_index=look_index,
        on_this_split=not over_splits,
        candidate_evaluations=[len(run.values) for run in runs["candidate"]],
        baseline_evaluations=[len(run.values) for run in runs["baseline"]],
        metric_name=experiment.official_metric,
        resolution=metric.resolution if metric and metric.resolution > 0 else None,
    )


def _selection(replication: Replication, scores: Sequence[float | None]) -> Selection | None:
    trial = replication.candidate_trial
    if trial is None or trial.value is None:
        return None
    fresh = np.array([score for score in scores if score is not None and math.isfinite(score)])
    mean = float(fresh.mean()) if fresh.size else None
    spread = float(fresh.std(ddof=1)) if fresh.size > 1 else 0.0
    sign = -1.0 if replication.experiment.direction == "minimize" else 1.0
    above = sign * (trial.value - mean) / spread if mean is not None and spread > 0 else None
    return Selection(trial.value, mean, above)


def _costs(runs: Sequence[ReplicateRun]) -> Costs:
    seconds = [run.seconds for run in runs if run.seconds is not None]
    memory = [run.peak_memory_mb for run in runs if run.peak_memory_mb is not None]
    return Costs(
        float(np.mean(seconds)) if seconds else None, float(np.mean(memory)) if memory else None
    )


def _test_metric(experiment: Experiment, declared: Mapping[str, Any]) -> str:
    """The test metric that stands beside the official one: same words, other split."""
    for name in declared:
        if is_test(name, dict(declared)):
            return name
    own = guess(experiment.official_metric)
    for word in ("validation", "valid", "val", "dev", "eval"):
        if own.split == "validation" and word in experiment.official_metric:
            return experiment.official_metric.replace(word, "test", 1)
    return ""


def _test(
    replication: Replication,
    runs: Mapping[str, Sequence[ReplicateRun]],
    scores: Mapping[str, Sequence[float | None]],
    metric: str,
) -> TestLook | None:
    openings = replication.test_openings.count()
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
    return TestLook(
        metric=metric,
        openings=openings,
        candidate_mean=_finite_mean(test["candidate"]),
        baseline_mean=_finite_mean(test["baseline"]),
        gains=compare_gains(
            (dev["candidate"], dev["baseline"]),
            (test["candidate"], test["baseline"]),
            direction=_direction(replication.experiment),
        ),
    )


def _finite_mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else None


@dataclass(frozen=True, slots=True)
class Planning:
    """What a schedule can show, said before any replicate is queued."""

    spread: Spread
    detectable: tuple[Detectable, ...]
    needed: SeedsNeeded | None


def plan_ahead(experiment: Experiment, schedule: Schedule, *, margin: float) -> Planning:
    """What N pairs can show at 80 % power, from the project's earlier replicates."""
    earlier = []
    baseline_scores: list[float] = []
    for replication in repetitions.past(experiment):
        runs = _by_side(replicate_runs(replication))
        ours, theirs = ([_score(run, replication) for run in runs[side]] for side in SIDES)
        differences = [
            a - b for a, b in zip(ours, theirs, strict=False) if a is not None and b is not None
        ]
        earlier.append(differences)
        baseline_scores += [score for score in theirs if score is not None]
    spread = expected_spread(earlier, baseline_scores)
    smallest = experiment.smallest_gain
    return Planning(
        spread,
        what_can_be_shown(schedule, spread, margin=margin),
        seeds_needed(smallest, spread, schedule=schedule, margin=margin) if smallest else None,
    )
