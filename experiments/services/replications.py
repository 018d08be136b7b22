"""Declare a repetition over fresh seeds, queue its replicates, open its test scores."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from itertools import pairwise

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from experiments import dispatch
from experiments.analysis.looks import Schedule, plan
from experiments.analysis.seeds import fresh_seeds
from experiments.errors import Conflict, NotOpenYet, Problem, VerdictError
from experiments.models import (
    Configuration,
    Decision,
    Experiment,
    Replication,
    Study,
    TestOpening,
    Trial,
)
from experiments.models.decision import Choice
from experiments.models.project import Role
from experiments.models.replication import Purpose, ScoreRule
from experiments.models.trial import FailureKind, Origin, Side, StudyKind, TrialState
from experiments.services import trials
from experiments.services.permissions import Person, require

DEFAULT_LOOKS = (10, 20, 30)
MOST_PAIRS = 1000


def declare(
    *,
    user: Person,
    experiment: Experiment,
    candidate_trial: Trial,
    baseline_trial: Trial | None = None,
    looks: Sequence[int] = DEFAULT_LOOKS,
    margin: float | None = None,
    score_rule: str = ScoreRule.TAIL_MEDIAN,
) -> Replication:
    """Fix what is compared and when it is looked at, and queue the pairs of the first look.

    The baseline is the project's champion; before the first adopt, the configuration of
    `baseline_trial`. Replicate i of both sides gets the same fresh training and split seed, and
    no seed that any trial of the project has used.

    Raises:
        NotOpenYet: when the candidate has no result, or there is nothing to compare it with.
        VerdictError: for looks or a margin that cannot be.
        Conflict: when both sides are the same configuration, or an earlier repetition is open.
    """
    require(user, experiment.project, Role.EDITOR)
    candidate = _configuration_of(candidate_trial, experiment, "candidate")
    baseline, champion = _baseline(experiment, baseline_trial)
    if candidate.pk == baseline.pk:
        raise Conflict("The candidate and the baseline are the same configuration.")
    schedule = _schedule(looks)
    if margin is not None and not 0 <= margin < float("inf"):
        raise VerdictError("The margin is wrong.", [Problem("margin", "want 0 or more")])
    with transaction.atomic():
        _check_none_open(Experiment.objects.select_for_update().get(pk=experiment.pk))
        replication = Replication.objects.create(
            experiment=experiment,
            purpose=Purpose.VERDICT,
            candidate=candidate,
            baseline=baseline,
            candidate_trial=candidate_trial,
            baseline_trial=None if champion else baseline_trial,
            against_champion=champion,
            score_rule=score_rule,
            margin=experiment.margin if margin is None else margin,
            smallest_gain=experiment.smallest_gain,
            looks=json.dumps(list(schedule.looks)),
            level=schedule.level,
            level_source=schedule.source,
            root_seed=secrets.randbits(31),
            created_by_id=user.pk,
        )
        for side in Side:
            _add_study(replication, side)
        _queue_pairs(replication, schedule.looks[0])
    return replication


def _configuration_of(trial: Trial, experiment: Experiment, side: str) -> Configuration:
    if trial.study.experiment_id != experiment.pk or trial.study.kind != StudyKind.SEARCH:
        raise VerdictError(
            f"The {side} is no trial of this search.", [Problem(side, "choose one of its trials")]
        )
    if trial.state != TrialState.COMPLETE or trial.configuration is None:
        raise NotOpenYet(f"The {side} trial has no result yet; choose a complete one.")
    return trial.configuration


def _baseline(experiment: Experiment, baseline_trial: Trial | None) -> tuple[Configuration, bool]:
    crowning = Decision.objects.crowning(experiment.project)
    if crowning is not None and crowning.candidate is not None:
        if baseline_trial is not None:
            raise VerdictError(
                "The project has a champion; it is the baseline.",
                [Problem("baseline", "leave it out")],
            )
        return crowning.candidate, True
    if baseline_trial is None:
        raise NotOpenYet("There is no champion yet: choose the trial that is the baseline.")
    return _configuration_of(baseline_trial, experiment, "baseline"), False


def _schedule(looks: Sequence[int]) -> Schedule:
    try:
        schedule = plan(looks)
    except ValueError as error:
        raise VerdictError("The looks are wrong.", [Problem("looks", str(error))]) from None
    if schedule.looks[-1] > MOST_PAIRS:
        raise VerdictError(
            "The looks are wrong.", [Problem("looks", f"want at most {MOST_PAIRS} pairs")]
        )
    return schedule


def _check_none_open(experiment: Experiment) -> None:
    latest = experiment.replications.filter(purpose=Purpose.VERDICT).first()
    if latest is not None and not latest.decisions.exclude(choice=Choice.CONTINUE).exists():
        raise Conflict(
            "A repetition of this experiment is open: decide it before declaring another, "
            "because declared looks must not be chosen after seeing seeds."
        )


def _add_study(replication: Replication, side: Side) -> Study:
    experiment = replication.experiment
    return Study.objects.create(
        project=experiment.project,
        experiment=experiment,
        replication=replication,
        kind=StudyKind.REPLICATION,
        side=side,
        name=f"{experiment.project.slug}/{experiment.name}/replication {replication.pk}/{side}",
        directions=experiment.direction,
    )


def _queue_pairs(replication: Replication, upto: int) -> None:
    """Queue pairs until there are `upto`; both sides of a pair share fresh seeds."""
    experiment = replication.experiment
    had = replication.pairs_queued
    seeds = _fresh(replication, 2 * (upto - had))
    studies = list(Study.objects.filter(replication=replication).order_by("pk"))
    for offset, pair in enumerate(range(had, upto)):
        for study in studies:
            baseline = study.side == Side.BASELINE
            trials.create(
                study_id=study.pk,
                state=TrialState.WAITING,
                origin=Origin.REPLICATE,
                configuration_id=(
                    replication.baseline_id if baseline else replication.candidate_id
                ),
                pair=pair,
                train_seed=seeds[2 * offset],
                split_seed=seeds[2 * offset + 1],
                search_seed=experiment.seed,
            )
    Replication.objects.filter(pk=replication.pk).update(pairs_queued=upto)
    replication.pairs_queued = upto
    Experiment.objects.filter(pk=experiment.pk).update(active_at=timezone.now())
    dispatch.wake(experiment.queue, min(experiment.parallel, 2 * (upto - had)))


def _fresh(replication: Replication, count: int) -> list[int]:
    project = replication.experiment.project
    taken = Trial.objects.filter(study__project=project).values_list("train_seed", "split_seed")
    used = {seed for both in taken.iterator() for seed in both if seed is not None}
    return fresh_seeds(count, root=replication.root_seed, taken=used)


def looks_of(replication: Replication) -> tuple[int, ...]:
    return tuple(json.loads(replication.looks))


def continue_to_next_look(*, user: Person, replication: Replication) -> Replication:
    """Queue the pairs up to the next declared look. Only an undecided verdict leads here.

    The caller has judged the present look (`experiments.evidence`); this refuses when the
    present look is not complete or was the last.

    Raises:
        NotOpenYet, Conflict.
    """
    require(user, replication.experiment.project, Role.EDITOR)
    with transaction.atomic():
        held = Replication.objects.select_for_update().get(pk=replication.pk)
        if unfinished(held).exists():
            raise NotOpenYet("This look is not complete yet.")
        if held.decisions.exclude(choice=Choice.CONTINUE).exists():
            raise Conflict("This repetition has been decided.")
        following = dict(pairwise(looks_of(held))).get(held.pairs_queued)
        if following is None:
            raise Conflict("That was the last declared look.")
        _queue_pairs(held, following)
    return held


def unfinished(replication: Replication) -> QuerySet[Trial]:
    """Replicates that have no outcome yet: waiting, running, or failed by accident."""
    return Trial.objects.filter(
        study__replication=replication, state__in=(TrialState.WAITING, TrialState.RUNNING)
    )


def repeat_failed(*, user: Person, replication: Replication) -> int:
    """Queue accidents again with the same seeds; an infeasible replicate is an outcome, it stays.

    Returns how many were queued.
    """
    require(user, replication.experiment.project, Role.EDITOR)
    with transaction.atomic():
        held = Replication.objects.select_for_update().get(pk=replication.pk)
        failed = (
            Trial.objects.filter(study__replication=held, state=TrialState.FAILED)
            .exclude(failure_kind=FailureKind.INFEASIBLE)
            .filter(retries__isnull=True)
        )
        for trial in failed:
            trials.create(
                study_id=trial.study_id,
                state=TrialState.WAITING,
                origin=Origin.REPLICATE,
                configuration_id=trial.configuration_id,
                pair=trial.pair,
                train_seed=trial.train_seed,
                split_seed=trial.split_seed,
                search_seed=trial.search_seed,
                retry_of_id=trial.pk,
            )
        if failed:
            dispatch.wake(held.experiment.queue, len(failed))
    return len(failed)


def open_test(*, user: Person, replication: Replication) -> TestOpening:
    """Record that somebody looks at the test scores; the caller has seen that a verdict exists.

    Each opening counts and is frozen into the decision.
    """
    require(user, replication.experiment.project, Role.VIEWER)
    if unfinished(replication).exists():
        raise NotOpenYet("The test scores open after the verdict; replicates are still running.")
    return TestOpening.objects.create(replication=replication, opened_by_id=user.pk)
