"""Declare a replication over fresh seeds, queue its replicates, open its test scores."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from django.db import transaction

from experiments import dispatch
from experiments.analysis.seeds.guards import Limit
from experiments.analysis.seeds.looks import Schedule, check_looks, plan
from experiments.analysis.seeds.verdict import Verdict
from experiments.design.metrics import declared_metrics, is_test
from experiments.design.queries.records import AnyExperiment, AnyReplication, AnyTrial
from experiments.errors import Conflict, NotOpenYet, Problem, VerdictError
from experiments.models import Configuration, Decision, Experiment, Replication, TestOpening, Trial
from experiments.models.decision import Choice
from experiments.models.project import Role
from experiments.models.replication import Purpose, ScoreRule
from experiments.models.trial import Origin, StudyKind, TrialState
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.services import trials
from experiments.verdict.queries.chain_check import broken_log, intact_log, own_problems
from experiments.verdict.services.judging import check_declared, check_state, evaluated, lock
from experiments.verdict.services.pairs import accidents, add_studies, queue_pairs, unfinished

__all__ = [
    "add_extra_look",
    "check_none_open",
    "check_rules",
    "continue_to_next_look",
    "declare",
    "open_test",
    "repeat_failed",
    "unfinished",
]

DEFAULT_LOOKS = (10, 20, 30)
MOST_PAIRS = 1000
MOST_CANDIDATES = 10
MOST_GUARDS = 20


def declare(
    *,
    access: Access,
    experiment: AnyExperiment,
    candidate_trial: AnyTrial,
    further_candidates: Sequence[AnyTrial] = (),
    baseline_trial: AnyTrial | None = None,
    looks: Sequence[int] = DEFAULT_LOOKS,
    margin: float | None = None,
    score_rule: str = ScoreRule.TAIL_MEDIAN,
    guards: Sequence[Limit] = (),
) -> Replication:
    """Fix what is compared and when it is looked at, and queue the pairs of the first look.

    The baseline is the project's champion; before the first adopt, the configuration of
    `baseline_trial`. Replicate i of all sides gets the same fresh training and split seed, and
    no seed that any trial of the project has used. `further_candidates` are compared with the
    same replicates of the baseline, each in a replication of its own and all at a level divided by
    their number; the first one's is returned. `guards`: limits on the mean of other metrics over
    a candidate's replicates.

    Raises:
        NotOpenYet: when a candidate has no result, or there is nothing to compare it with.
        VerdictError: for looks, a margin, a score or a guard that cannot be.
        Conflict: when two sides are the same configuration, the log that the champion stands in is
            altered, the experiment is archived, or an earlier replication is open.
    """
    access.require(Role.EDITOR, experiment)
    candidates = [candidate_trial, *further_candidates]
    schedule = _schedule(looks)
    check_rules(experiment, margin, score_rule, guards)
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        baseline, champion = _baseline(locked, baseline_trial)
        _check_runnable(locked, baseline)
        configurations = _distinct(candidates, locked, baseline)
        check_none_open(locked)
        return _create(
            list(zip(candidates, configurations, strict=True)),
            schedule,
            experiment=locked,
            baseline=baseline,
            baseline_trial_id=None if champion or baseline_trial is None else baseline_trial.pk,
            against_champion=champion,
            score_rule=score_rule,
            margin=locked.margin if margin is None else margin,
            guards=json.dumps([asdict(guard) for guard in guards]),
            created_by=access.user,
        )


def _create(
    candidates: Sequence[tuple[AnyTrial, Configuration]], schedule: Schedule, **declared: Any
) -> Replication:
    """Replications of all candidates with their first pairs; the first holds the baseline's."""
    experiment: Experiment = declared["experiment"]
    root_seed = secrets.randbits(31)
    group: list[Replication] = []
    for trial, configuration in candidates:
        replication = Replication.objects.create(
            **declared,
            purpose=Purpose.VERDICT,
            candidate=configuration,
            candidate_trial_id=trial.pk,
            candidates=len(candidates),
            first_of_group=group[0] if group else None,
            smallest_gain=experiment.smallest_gain,
            looks=json.dumps(list(schedule.looks)),
            level=schedule.level,
            level_source=schedule.source,
            root_seed=root_seed,
        )
        group.append(replication)
        add_studies(replication)
        queue_pairs(replication, schedule.looks[0])
    return group[0]


def _distinct(
    candidates: Sequence[AnyTrial], experiment: Experiment, baseline: Configuration
) -> list[Configuration]:
    """The candidates' configurations, no two of all sides the same."""
    if len(candidates) > MOST_CANDIDATES:
        raise VerdictError(
            "There are too many candidates.",
            [
                Problem(
                    "candidates", f"expected at most {MOST_CANDIDATES}, found {len(candidates)}"
                )
            ],
        )
    found = [_configuration_of(trial, experiment, "candidate") for trial in candidates]
    if baseline.pk in {configuration.pk for configuration in found}:
        raise Conflict("The candidate and the baseline are the same configuration.")
    if len({configuration.pk for configuration in found}) < len(found):
        raise Conflict("Two of the candidates are the same configuration; choose each once.")
    return found


def check_rules(
    experiment: AnyExperiment, margin: float | None, score_rule: str, guards: Sequence[Limit]
) -> None:
    problems = []
    if margin is not None and not 0 <= margin < float("inf"):
        problems.append(Problem("margin", f"expected 0 or more, found {margin}"))
    if score_rule == ScoreRule.BEST:
        problems.append(
            Problem(
                "score_rule",
                "the best evaluation favours the noisier side and is shown beside the verdict; "
                "expected tail_median or last",
            )
        )
    elif score_rule not in ScoreRule.values:
        problems.append(
            Problem("score_rule", f"expected tail_median or last, found {score_rule!r}")
        )
    problems += _guard_problems(experiment, guards)
    if problems:
        raise VerdictError("The replication cannot be declared like this.", problems)


def _guard_problems(experiment: AnyExperiment, guards: Sequence[Limit]) -> list[Problem]:
    declared = declared_metrics(experiment.document)
    names = [guard.metric for guard in guards]
    problems = []
    for name in dict.fromkeys(names):
        if name == experiment.official_metric:
            problems.append(Problem("guards", f"{name} is what the margin judges already"))
        elif is_test(name, declared):
            problems.append(Problem("guards", f"{name} is sealed until the verdict"))
        elif names.count(name) > 1:
            problems.append(Problem("guards", f"{name} appears twice"))
    if len(names) > MOST_GUARDS:
        problems.append(Problem("guards", f"expected at most {MOST_GUARDS}, found {len(names)}"))
    return problems


def _configuration_of(trial: AnyTrial, experiment: Experiment, side: str) -> Configuration:
    if trial.study.experiment_id != experiment.pk or trial.study.kind != StudyKind.SEARCH:
        raise VerdictError(
            f"The {side} is no trial of this search.", [Problem(side, "choose one of its trials")]
        )
    if trial.state != TrialState.COMPLETE or trial.configuration is None:
        raise NotOpenYet(f"The {side} trial has no result yet; choose a complete one.")
    return Configuration.objects.get(pk=trial.configuration.pk)


def _check_runnable(experiment: AnyExperiment, baseline: Configuration) -> None:
    """Workers repeat what names a training function; external programs repeat anything."""
    if experiment.archived_at is not None:
        raise Conflict(f"{experiment.name} is archived: list it again first.")
    if experiment.is_from_outside or json.loads(baseline.document).get("objective"):
        return
    raise NotOpenYet(
        "The champion was logged by external programs: workers have no function to run it "
        "with beside a candidate. Log its replicates and the candidate's over HTTP, in an "
        "experiment of runs from outside."
    )


def _baseline(
    experiment: Experiment, baseline_trial: AnyTrial | None
) -> tuple[Configuration, bool]:
    intact_log(experiment.project)
    crowning = Decision.objects.crowning(experiment.project_id)
    if crowning is not None and (problems := own_problems(crowning)):
        raise broken_log(experiment.project.slug, problems)
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
            "The looks are wrong.", [Problem("looks", f"expected at most {MOST_PAIRS} pairs")]
        )
    return schedule


def check_none_open(experiment: Experiment) -> None:
    # A comparison of runs that existed is replaced by what is declared after it.
    latest = experiment.replications.filter(purpose=Purpose.VERDICT, picked="").first()
    if latest is None:
        return
    if any(
        not is_decided(replication) for replication in Replication.objects.group_of(latest.group)
    ):
        raise Conflict(
            "A replication of this experiment is open: decide it before declaring another, "
            "because declared looks must not be chosen after seeing seeds."
        )


def is_decided(replication: Replication) -> bool:
    """Test whether an adopt or a reject has ended the replication."""
    return replication.decisions.exclude(choice=Choice.CONTINUE).exists()


def continue_to_next_look(*, access: Access, replication: AnyReplication) -> Replication:
    """Queue the pairs up to the next declared look, after an undecided one.

    Raises:
        NotOpenYet: while the present look has no verdict.
        Conflict: when its verdict is not undecided, it was the last, or somebody decided.
    """
    access.require(Role.EDITOR, replication.experiment)
    with _undecided(replication) as (locked, verdict):
        queue_next_look(locked, verdict)
    return locked


def queue_next_look(locked: Replication, verdict: Verdict | None) -> None:
    """Queue the pairs of the next declared look of a replication locked by `lock`.

    Raises:
        NotOpenYet, Conflict: as `continue_to_next_look`.
    """
    if verdict is None:
        raise NotOpenYet("This look is not complete yet.")
    if verdict.outcome != "undecided":
        raise Conflict("Only an undecided look leads on to the next one.")
    following = dict(pairwise(locked.declared_looks)).get(locked.pairs_queued)
    if following is None:
        raise Conflict("That was the last declared look.")
    queue_pairs(locked, following)


def add_extra_look(*, access: Access, replication: AnyReplication, pairs: int) -> Replication:
    """Queue `pairs` more pairs after the last declared look; recorded as looks after peeking.

    Everything shown from then on says that it comes after peeking, with the error rate that this
    has.

    Raises:
        NotOpenYet: while the present look has no verdict.
        Conflict: when its verdict is not undecided, declared looks are to come, or somebody
            decided.
        VerdictError: for a number of pairs that cannot be.
    """
    access.require(Role.EDITOR, replication.experiment)
    with _undecided(replication) as (locked, verdict):
        if verdict is None:
            raise NotOpenYet("This look is not complete yet.")
        looks = locked.declared_looks + locked.looks_after_the_last
        if locked.pairs_queued != looks[-1]:
            raise Conflict("Declared looks are still to come; continue to the next one.")
        if verdict.outcome != "undecided":
            raise Conflict("Extra seeds follow an undecided last look only.")
        total = locked.pairs_queued + pairs
        if pairs < 1 or total > MOST_PAIRS:
            most = MOST_PAIRS - locked.pairs_queued
            raise VerdictError(
                "The number of extra pairs is wrong.",
                [Problem("pairs", f"expected 1 to {most}, found {pairs}")],
            )
        _check_number_of_looks(looks, total)
        locked.extra_looks = json.dumps([*locked.looks_after_the_last, total])
        locked.save(update_fields=["extra_looks"])
        queue_pairs(locked, total)
    return locked


def _check_number_of_looks(looks: Sequence[int], total: int) -> None:
    try:
        check_looks([*looks, total])
    except ValueError as error:
        raise Conflict(f"No extra seeds: {error}") from None


@contextmanager
def _undecided(replication: AnyReplication) -> Iterator[tuple[Replication, Verdict | None]]:
    """A replication that nobody has decided, held, with the verdict of its present look."""
    seen = evaluated(replication)
    with transaction.atomic():
        locked = lock(replication)
        check_declared(locked)
        if is_decided(locked):
            raise Conflict("This replication has been decided.")
        check_state(locked, seen.state)
        yield locked, seen.verdict


def repeat_failed(*, access: Access, replication: AnyReplication) -> int:
    """Queue accidents, and what makes the comparison invalid, again with the same seeds; returns
    how many. An infeasible replicate is an outcome, it stays.
    """
    access.require(Role.EDITOR, replication.experiment)
    check_declared(replication)
    differing = _invalid_replicates(replication)
    with transaction.atomic():
        locked = lock(replication)
        failed = list(accidents(locked))
        if not is_decided(locked) and not unfinished(locked).exists():
            every = Trial.objects.replicates_of(locked)
            failed += every.filter(pk__in=differing, retries__isnull=True)
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
            dispatch.wake(locked.experiment.queue, len(failed))
    return len(failed)


def _invalid_replicates(replication: AnyReplication) -> set[int]:
    """Trials whose repetition would make the sides comparable, or run what was declared."""
    if replication.purpose != Purpose.VERDICT:
        return set()
    verdict = evaluated(replication).verdict
    if verdict is None:
        return set()
    return {trial for remark in (*verdict.invalid, *verdict.cautions) for trial in remark.repeat}


def open_test(*, access: Access, replication: AnyReplication) -> TestOpening:
    """Record an opening of the test scores, which is possible after the verdict.

    Each opening counts and is frozen into the decision; a viewer only reads.

    Raises:
        NotOpenYet: while the present look has no verdict.
    """
    access.require(Role.EDITOR, replication.experiment)
    seen = evaluated(replication)
    with transaction.atomic():
        locked = lock(replication)
        check_state(locked, seen.state)
        if seen.verdict is None:
            raise NotOpenYet(f"The test scores open after the verdict. {seen.waiting}")
        return TestOpening.objects.create(replication=locked, opened_by=access.user)
