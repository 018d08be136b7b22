"""Evidence of a baseline's seeds, compared with chance."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.design.search_checks import above_chance
from experiments.analysis.diagnosis import Diagnosis
from experiments.analysis.seeds import replication as scoring
from experiments.design.metrics import Metric, declared_metrics, guess
from experiments.design.queries.records import AnyReplication
from experiments.verdict.queries.replicates import ReplicateRun, replicate_runs


@dataclass(frozen=True, slots=True)
class BaselineEvidence:
    """The replicates of a baseline with their scores: None while open, NaN where one failed.

    `check` holds the finite and failed scores against chance; None where no chance level is
    declared or seeds are still to come.
    """

    replication: AnyReplication
    runs: Sequence[ReplicateRun]
    scores: Sequence[float | None]
    chance: float | None
    check: Diagnosis | None

    @property
    def accidents(self) -> int:
        return sum(run.is_accident for run in self.runs)

    @property
    def open_runs(self) -> int:
        return sum(run.is_open and not run.is_accident for run in self.runs)

    @property
    def complete(self) -> bool:
        """Test whether every seed has an outcome."""
        return all(score is not None for score in self.scores)

    @property
    def finite_scores(self) -> list[float]:
        return [score for score in self.scores if score is not None and math.isfinite(score)]

    @property
    def mean(self) -> float | None:
        return float(np.mean(self.finite_scores)) if self.finite_scores else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation over seeds; None below two."""
        found = self.finite_scores
        return float(np.std(found, ddof=1)) if len(found) > 1 else None

    def document(self) -> dict[str, Any]:
        """The evidence as plain JSON, to be frozen into decision 0."""
        experiment = self.replication.experiment
        runs = [
            {
                "pair": run.pair,
                "train_seed": run.train_seed,
                "split_seed": run.split_seed,
                "score": _plain(score),
                "trial": run.trial_id,
                "evaluations": len(run.values),
            }
            for run, score in zip(self.runs, self.scores, strict=True)
        ]
        return {
            **_common(experiment.official_metric, experiment.direction, self.chance, self.check),
            "goal": experiment.goal,
            "experiment": experiment.name,
            "candidate": json.loads(self.replication.candidate.document),
            "score_rule": self.replication.score_rule,
            "replicates": {"candidate": runs, "baseline": []},
            "entered_by_hand": False,
        }


def evaluate(replication: AnyReplication) -> BaselineEvidence:
    """Read the replicates and, once all are in, hold them against chance."""
    experiment = replication.experiment
    runs = sorted(replicate_runs(replication), key=lambda run: run.pair)
    direction: scoring.Direction = "minimize" if experiment.direction == "minimize" else "maximize"
    scores = [
        None if run.is_open else scoring.score(run.values, direction=direction) for run in runs
    ]
    name = experiment.official_metric
    declared = declared_metrics(experiment.document)
    metric = declared.get(name) or guess(name)
    known = [score for score in scores if score is not None]
    check = None
    if metric.chance is not None and len(known) == len(scores):
        check = against_chance(known, metric.chance, direction, metric)
    return BaselineEvidence(replication, runs, scores, metric.chance, check)


def against_chance(
    scores: Sequence[float], chance: float, direction: str, metric: Metric | None = None
) -> Diagnosis:
    """Test whether a baseline is clearly better than knowing nothing of the input.

    A metric whose resolution is 1 over a number of examples brings that number in: the standard
    error of a share of so many.
    """
    resolution = metric.resolution if metric else 0.0
    examples = round(1 / resolution) if 0 < resolution < 1 else None
    return above_chance(scores, chance, Direction(direction), evaluated_on=examples)


def known_document(
    *,
    metric: str,
    direction: str,
    candidate: Mapping[str, Any],
    scores: Sequence[float],
    source: str,
    chance: float | None,
) -> dict[str, Any]:
    """The evidence of a model from before, as a person entered it."""
    check = against_chance(scores, chance, direction) if chance is not None else None
    runs = [{"pair": index, "score": float(score)} for index, score in enumerate(scores)]
    return {
        **_common(metric, direction, chance, check),
        "candidate": dict(candidate),
        "replicates": {"candidate": runs, "baseline": []},
        "entered_by_hand": True,
        "source": source,
    }


def _common(
    metric: str, direction: str, chance: float | None, check: Diagnosis | None
) -> dict[str, Any]:
    comparison = None
    if check is not None:
        comparison = {"status": check.status.value, "title": check.title, "detail": check.detail}
    return {
        "metric": metric,
        "direction": direction,
        "baseline": None,
        "verdict": None,
        "chance": chance,
        "above_chance": comparison,
    }


def _plain(score: float | None) -> float | str | None:
    return score if score is None or math.isfinite(score) else str(score)
