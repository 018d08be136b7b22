"""Sources of variance of a candidate, from the runs that measure them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.analysis.seeds import replication as scoring
from experiments.analysis.seeds.variance import SourcesOfVariance, sources_of_variance
from experiments.design.queries.records import AnyConfiguration, AnyExperiment, AnyReplication
from experiments.verdict.queries import replications
from experiments.verdict.queries.replicates import ReplicateRun, replicate_runs

TRAINING, SPLIT, SEARCH = "training_seed", "split_seed", "search_seed"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One source as a page shows it: its scores so far and how many are still to come."""

    purpose: str
    scores: Sequence[float]
    open_runs: int
    searches_running: int


@dataclass(frozen=True, slots=True)
class Spread:
    """The three sources side by side, with what is being measured now."""

    sources: SourcesOfVariance
    measurements: dict[str, Measurement]


def of_candidate(experiment: AnyExperiment, candidate: AnyConfiguration) -> Spread:
    """Measurements of a candidate's variance, the newest of each source."""
    found: dict[str, Measurement] = {}
    winners: list[list[float]] = []
    for replication in replications.measurements(experiment, candidate):
        runs = replicate_runs(replication)
        found[replication.purpose] = Measurement(
            purpose=replication.purpose,
            scores=_scores(runs, replication),
            open_runs=sum(run.is_open for run in runs),
            searches_running=replications.searches_running(replication),
        )
        if replication.purpose == SEARCH:
            winners = _by_study(runs, replication)
    return Spread(
        sources_of_variance(
            training_seed=_of(found, TRAINING),
            data_split=_of(found, SPLIT),
            search_winners=winners,
        ),
        found,
    )


def _of(found: dict[str, Measurement], purpose: str) -> Sequence[float]:
    return found[purpose].scores if purpose in found else ()


def _by_study(runs: Sequence[ReplicateRun], replication: AnyReplication) -> list[list[float]]:
    studies: dict[int, list[ReplicateRun]] = {}
    for run in runs:
        studies.setdefault(run.study_id, []).append(run)
    return [_scores(study, replication) for study in studies.values()]


def _scores(runs: Sequence[ReplicateRun], replication: AnyReplication) -> list[float]:
    direction: scoring.Direction = (
        "minimize" if replication.experiment.direction == "minimize" else "maximize"
    )
    rule: scoring.ScoreRule = "tail_median"
    if replication.score_rule in ("last", "best"):
        rule = "last" if replication.score_rule == "last" else "best"
    return [
        scoring.score(run.values, rule=rule, direction=direction)
        for run in runs
        if not run.is_open
    ]
