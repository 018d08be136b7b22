"""Power of a replication's schedule, computed before any replicate is queued."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.analysis.number_formats import percent, significant
from experiments.analysis.seeds.looks import Schedule
from experiments.analysis.seeds.power import (
    Detectable,
    Prospect,
    SeedsNeeded,
    Spread,
    expected_spread,
    prospect,
    seeds_needed,
    what_can_be_shown,
)
from experiments.design.queries.records import AnyExperiment
from experiments.verdict.evidence.replicate_readings import by_side, score_of
from experiments.verdict.queries import replications
from experiments.verdict.queries.replicates import replicate_runs

_SEED = 0


@dataclass(frozen=True, slots=True)
class Planning:
    """Power of a schedule. `prospect`: what becomes of the smallest gain that matters."""

    schedule: Schedule
    candidates: int
    spread: Spread
    detectable: tuple[Detectable, ...]
    needed: SeedsNeeded | None
    prospect: Prospect | None
    words: str

    @property
    def looks(self) -> tuple[int, ...]:
        return self.schedule.looks


def earlier_spread(experiment: AnyExperiment) -> Spread:
    """The spread of differences that the project's earlier replicates let one expect."""
    earlier = []
    baseline_scores: list[float] = []
    groups: set[int] = set()
    for replication in replications.past(experiment):
        runs = by_side(replicate_runs(replication))
        ours, theirs = (
            [score_of(run, replication) for run in runs[side]]
            for side in ("candidate", "baseline")
        )
        pairs = zip(ours, theirs, strict=False)
        earlier.append([a - b for a, b in pairs if a is not None and b is not None])
        if replication.group not in groups:
            groups.add(replication.group)
            baseline_scores += [score for score in theirs if score is not None]
    if baseline := replications.newest_baseline(experiment):
        scores = [score_of(run, baseline) for run in replicate_runs(baseline)]
        baseline_scores += [score for score in scores if score is not None]
    return expected_spread(earlier, baseline_scores)


def plan_ahead(
    experiment: AnyExperiment, schedule: Schedule, *, margin: float, candidates: int = 1
) -> Planning:
    """Power of each look at 80 %, from the project's earlier replicates.

    `candidates` share the level. The seeds still needed are those for the smallest gain that
    matters, never for a gain that was observed.
    """
    spread = earlier_spread(experiment)
    smallest = experiment.smallest_gain
    expected = None
    if smallest:
        expected = prospect(
            schedule,
            spread,
            gain=smallest,
            margin=margin,
            candidates=candidates,
            rng=np.random.default_rng(_SEED),
        )
    return Planning(
        schedule,
        candidates,
        spread,
        what_can_be_shown(schedule, spread, margin=margin, candidates=candidates),
        seeds_still_needed(experiment, schedule, spread, margin=margin, candidates=candidates),
        expected,
        _words(expected, schedule, smallest) if expected and smallest else "",
    )


def seeds_still_needed(
    experiment: AnyExperiment,
    schedule: Schedule,
    spread: Spread,
    *,
    margin: float,
    candidates: int = 1,
    have: int = 0,
) -> SeedsNeeded | None:
    """Pairs that show the smallest gain that matters; None while nobody has named it."""
    if not experiment.smallest_gain:
        return None
    return seeds_needed(
        experiment.smallest_gain,
        spread,
        schedule=schedule,
        have=have,
        margin=margin,
        candidates=candidates,
    )


def _words(expected: Prospect, schedule: Schedule, gain: float) -> str:
    shown = sum(expected.adopted)
    if len(schedule.looks) == 1:
        return f"A true gain of {significant(gain)} is then adopted in {percent(shown)} of cases."
    return (
        f"A true gain of {significant(gain)} is then adopted in {percent(shown)} of cases over "
        f"all {len(schedule.looks)} looks, in {percent(expected.adopted[0])} at the first; on "
        f"average after {significant(expected.mean_pairs, 3)} pairs there is a verdict."
    )
