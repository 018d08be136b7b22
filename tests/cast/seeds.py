"""Replications over fresh seeds, and the runs of their pairs."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence

import numpy as np

from experiments.models import Decision, Experiment, Replication, SealedScore, Trial
from experiments.models.trial import TrialState
from experiments.verdict.services import replications
from tests.cast.people import access
from tests.cast.training_curves import START, curves, log


def repeated(
    experiment: Experiment,
    *,
    done: int = 10,
    looks: Sequence[int] = (10, 20, 30),
    gain: float = 0.0047,
    spread: float = 0.002,
) -> Replication:
    """The best trial against the baseline arm's best, `done` pairs finished."""
    best = experiment.best_trial
    assert best is not None
    other = (
        Trial.objects.filter(study__experiment=experiment, state=TrialState.COMPLETE)
        .exclude(study=best.study)
        .exclude(configuration=best.configuration)
        .order_by("-value")
        .first()
    )

    crowned = Decision.objects.crowning(experiment.project) is not None
    replication = replications.declare(
        access=access("ada", experiment),
        experiment=experiment,
        candidate_trial=best,
        baseline_trial=None if crowned else other,
        looks=looks,
    )
    finish_pairs(replication, done, gain=gain, spread=spread)
    return replication


def candidates(
    experiment: Experiment,
    *,
    looks: Sequence[int] = (5, 10),
    done: int = 5,
    gain: float = 0.0047,
    spread: float = 0.002,
) -> tuple[Replication, Replication]:
    """The two best trials against the third, `done` pairs of each finished."""
    ranked = Trial.objects.filter(
        study__experiment=experiment, state=TrialState.COMPLETE
    ).order_by("-value")
    first = replications.declare(
        access=access("ada", experiment),
        experiment=experiment,
        candidate_trial=ranked[0],
        further_candidates=[ranked[1]],
        baseline_trial=ranked[2],
        looks=looks,
    )
    second = first.others_of_group.get()
    for replication in (first, second):
        finish_pairs(replication, done, gain=gain, spread=spread)
    return first, second


def finish_pairs(
    replication: Replication, done: int, *, gain: float = 0.0047, spread: float = 0.002
) -> None:
    """Run the first `done` pairs: each side's score, curves and a sealed test score."""
    rng = np.random.default_rng(17)
    waiting = Trial.objects.filter(
        study__replication=replication, pair__lt=done, state=TrialState.WAITING
    )
    shared = rng.normal(0, 0.0015, 1000)
    for trial in waiting.select_related("study").order_by("pair", "study_id"):
        candidate = trial.study.side == "candidate"
        level = 0.9662 + (gain if candidate else 0) + shared[trial.pair or 0]
        series = curves(float(level + rng.normal(0, spread)), rng)
        accuracy = series["validation_accuracy"]
        Trial.objects.filter(pk=trial.pk).update(
            state=TrialState.COMPLETE,
            values=json.dumps([float(accuracy.max())]),
            value=float(accuracy.max()),
            attempt=1,
            evaluations=len(accuracy),
            best_step=int(accuracy.argmax()) + 1,
            read_split_seed=True,
            seconds=11.3 if candidate else 11.2,
            peak_memory_mb=212,
            started_at=START,
            finished_at=START + dt.timedelta(seconds=11),
        )
        log(trial.pk, series)
        SealedScore.objects.create(
            trial=trial, name="test_accuracy", value=float(accuracy[-1]) - 0.005
        )
