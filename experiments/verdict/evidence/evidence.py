"""Evidence of a replication: its replicates, read and then evaluated."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from experiments.analysis.seeds.batch_size_fairness import unfair_batch_size
from experiments.analysis.seeds.guards import Limit
from experiments.analysis.seeds.looks import LevelSource, Schedule
from experiments.analysis.seeds.validity import check_validity
from experiments.analysis.seeds.variance import SourcesOfVariance
from experiments.analysis.seeds.verdict import Verdict, judge
from experiments.design.document import experiment_file
from experiments.design.metrics import Metric, declared_metrics
from experiments.design.queries.records import AnyExperiment, AnyReplication
from experiments.trials.lifecycle.queries.runs import parameters_of
from experiments.verdict.evidence import spread
from experiments.verdict.evidence.conclusion_bounds import fixed, fixed_in, varied, varied_in
from experiments.verdict.evidence.evidence_state import evidence_state
from experiments.verdict.evidence.replicate_readings import (
    SIDES,
    Costs,
    Selection,
    TestScores,
    by_side,
    costs_of,
    direction_of,
    facts_of,
    finite_mean,
    guard_name,
    guard_of,
    guard_value,
    mean_best,
    read_test_scores,
    score_of,
    selection_of,
    share_seeds,
    test_metric_of,
    unmeasured,
)
from experiments.verdict.queries import replications
from experiments.verdict.queries.replicates import ReplicateRun, replicate_runs
from experiments.web.plain_json import plain


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence of a decision at one moment.

    `verdict` is None while a look is not complete: between declared looks only the seeds are
    shown. `runs` and `scores` are in the order of the pairs; a score is NaN for a run that did
    not end usably, and `scores[side][i]` is None while replicate i is open. `look_index` is None
    at a look beyond the declared ones. `best` holds each side's mean best evaluation, which is
    shown and never decides; `guard_means` each side's means of the guard metrics.
    """

    replication: AnyReplication
    schedule: Schedule
    look_index: int | None
    runs: Mapping[str, Sequence[ReplicateRun]]
    scores: Mapping[str, Sequence[float | None]]
    open_runs: int
    accidents: int
    verdict: Verdict | None
    waiting: str
    selection: Selection | None
    best: Mapping[str, float | None]
    costs: Mapping[str, Costs]
    guard_means: Mapping[str, Mapping[str, float | None]]
    unmeasured: str
    sources: SourcesOfVariance
    test: TestScores | None
    test_metric: str
    bounds: Mapping[str, Any]
    varied: Sequence[Mapping[str, str]]
    open_findings: Sequence[Mapping[str, Any]]
    dismissed_findings: Sequence[Mapping[str, Any]]
    passed_checks: Sequence[str]
    state: str

    @property
    def outcome(self) -> str:
        """adopt, reject, undecided, or "" while there is no verdict."""
        if self.verdict is None or self.verdict.outcome == "none":
            return ""
        return self.verdict.outcome

    def document(self) -> dict[str, Any]:
        """The evidence as plain JSON, to be frozen into a decision."""
        baseline = self.replication.baseline
        return {
            "metric": self.replication.experiment.official_metric,
            "direction": self.replication.experiment.direction,
            "goal": self.replication.experiment.goal,
            "retrospective": self.replication.is_retrospective,
            "experiment": self.replication.experiment.name,
            "candidate": json.loads(self.replication.candidate.document),
            "baseline": json.loads(baseline.document) if baseline else None,
            "score_rule": self.replication.score_rule,
            "margin": self.replication.margin,
            "looks": list(self.schedule.looks),
            "look": None if self.look_index is None else self.look_index + 1,
            "extra_looks": list(self.replication.looks_after_the_last),
            "pairs": self.replication.pairs_queued,
            "level": self.schedule.level,
            "candidates": self.replication.candidates,
            "replicates": {side: self._replicates(side) for side in SIDES},
            "verdict": plain(asdict(self.verdict)) if self.verdict else None,
            "selection": plain(asdict(self.selection)) if self.selection else None,
            "best_evaluation": plain(self.best),
            "costs": {side: plain(asdict(costs)) for side, costs in self.costs.items()},
            "guards": plain(self._guards()),
            "unmeasured": self.unmeasured,
            "sources_of_variance": plain(asdict(self.sources)),
            "test": plain(asdict(self.test)) if self.test else None,
            "varied": plain(self.varied),
            "bounds": plain(self.bounds),
            "open_findings": plain(self.open_findings),
            "dismissed_findings": plain(self.dismissed_findings),
            "passed_checks": list(self.passed_checks),
            "state": self.state,
        }

    def _guards(self) -> list[dict[str, Any]]:
        results = self.verdict.guards if self.verdict else ()
        return [
            {
                **asdict(result),
                **{f"{side}_mean": self.guard_means[side].get(result.name) for side in SIDES},
            }
            for result in results
        ]

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


def evaluate(replication: AnyReplication) -> Evidence:
    """Read the replicates and judge them at the present look.

    `state` is read first: whoever finds it unchanged later knows that the rest is as well.
    """
    state = evidence_state(replication)
    experiment = replication.experiment
    runs = by_side(replicate_runs(replication))
    scores = {side: [score_of(run, replication) for run in runs[side]] for side in SIDES}
    everything = [run for side in SIDES for run in runs[side]]
    accidents = sum(run.is_accident for run in everything)
    open_runs = sum(run.is_open for run in everything)
    looks = replication.declared_looks
    schedule = Schedule(looks, replication.level, cast(LevelSource, replication.level_source))
    look_index = looks.index(pairs) if (pairs := replication.pairs_queued) in looks else None
    design = _design(experiment)
    limits = [Limit(**guard) for guard in replication.declared_guards]
    verdict = None if open_runs else _judge(replication, schedule, runs, scores, limits, design)
    named_test = test_metric_of(experiment, design.metrics)
    open_findings, dismissed_findings = replications.fired_findings(experiment)
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
        # The run that was the best of a retrospective comparison is among those compared.
        selection=selection_of(replication, scores["candidate"])
        if verdict and not replication.is_retrospective
        else None,
        best={side: mean_best(runs[side], experiment) if verdict else None for side in SIDES},
        costs={side: costs_of(runs[side]) for side in SIDES},
        guard_means={side: _means(limits, runs[side]) for side in SIDES},
        unmeasured=unmeasured(everything, experiment.official_metric),
        sources=spread.of_candidate(experiment, replication.candidate).sources,
        test=read_test_scores(replication, runs, scores, named_test) if verdict else None,
        test_metric=named_test,
        bounds=design.bounds,
        varied=design.varied,
        open_findings=open_findings,
        dismissed_findings=dismissed_findings,
        passed_checks=replications.passed_checks(experiment),
        state=state,
    )


@dataclass(frozen=True, slots=True)
class _Design:
    """Design of a search: of the experiment file, or of the runs that external programs logged."""

    metrics: Mapping[str, Metric]
    varied: Sequence[Mapping[str, str]]
    bounds: Mapping[str, Any]
    tuned: Sequence[str]  # names of hyperparameters
    code_differs: bool = False  # between arms, as the file asks
    data_differ: bool = False


def _design(experiment: AnyExperiment) -> _Design:
    if experiment.source:
        file = experiment_file.stored(experiment.document)
        searched = (*file.space.of_role("scientific"), *file.space.of_role("nuisance"))
        tuned = [hyperparameter.name for hyperparameter in searched]
        arms = [arm.runs for arm in file.arms()]
        return _Design(
            file.metrics,
            varied(file.space),
            fixed(file.space),
            tuned,
            code_differs=any(runs.commit for runs in arms),
            data_differ=any(runs.data != arms[0].data for runs in arms),
        )
    runs = parameters_of(experiment)
    found = varied_in(runs)
    declared = declared_metrics(experiment.document)
    return _Design(declared, found, fixed_in(runs), [parameter["name"] for parameter in found])


def _means(limits: Sequence[Limit], runs: Sequence[ReplicateRun]) -> dict[str, float | None]:
    """The mean of each guard metric over one side's replicates."""
    return {
        guard_name(limit.metric): finite_mean([guard_value(run, limit.metric) for run in runs])
        for limit in limits
    }


def _waiting(open_runs: int, accidents: int, pairs: int) -> str:
    if accidents:
        count = "1 replicate" if accidents == 1 else f"{accidents} replicates"
        return f"{count} failed by accident; repeat with the same seeds."
    if open_runs:
        done = 2 * pairs - open_runs
        return f"{done} of {2 * pairs} replicates are done; the verdict comes when all are."
    return ""


def _unfair(replication: AnyReplication, tuned: Sequence[str]) -> list[str]:
    """Reasons that the candidate may not be compared with its baseline, as configurations."""
    if replication.baseline is None:
        return []
    candidate, baseline = (
        json.loads(configuration.document)["parameters"]
        for configuration in (replication.candidate, replication.baseline)
    )
    reason = unfair_batch_size(candidate, baseline, tuned)
    return [reason] if reason else []


def _judge(
    replication: AnyReplication,
    schedule: Schedule,
    runs: Mapping[str, Sequence[ReplicateRun]],
    scores: Mapping[str, Sequence[float | None]],
    limits: Sequence[Limit],
    design: _Design,
) -> Verdict:
    experiment = replication.experiment
    values = {
        side: [math.nan if score is None else score for score in scores[side]] for side in SIDES
    }
    metric = design.metrics.get(experiment.official_metric)
    # Only a run that read its split seed was repeated over splits.
    read = [run.read_split_seed for side in SIDES for run in runs[side]]
    known = [split_seed for split_seed in read if split_seed is not None]
    extra = replication.looks_after_the_last
    last = len(schedule.looks) - 1
    picked = replication.picked_runs
    return judge(
        values["candidate"],
        values["baseline"],
        direction=direction_of(experiment),
        margin=replication.margin,
        schedule=schedule,
        look_index=last if extra else schedule.looks.index(replication.pairs_queued),
        extra_looks=extra,
        paired=picked.paired if picked else share_seeds(runs),
        retrospective=picked is not None,
        on_this_split=not known or not all(known),
        candidates=replication.candidates,
        guards=[guard_of(limit, runs) for limit in limits],
        unfair=_unfair(replication, design.tuned),
        invalid=check_validity(
            *(
                [facts_of(run, score) for run, score in zip(runs[side], scores[side], strict=True)]
                for side in SIDES
            ),
            code_differs=design.code_differs,
            data_differ=design.data_differ,
            samples=picked is not None and not picked.paired,
        ),
        candidate_evaluations=[len(run.values) for run in runs["candidate"]],
        baseline_evaluations=[len(run.values) for run in runs["baseline"]],
        metric_name=experiment.official_metric,
        resolution=metric.resolution if metric and metric.resolution > 0 else None,
    )
