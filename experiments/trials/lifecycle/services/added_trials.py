"""Trials added to a search by a person: a configuration, a retry, more budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from experiments import dispatch
from experiments.design.document import experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.document.first_configurations import first_arms
from experiments.design.queries.records import AnyExperiment, AnyTrial
from experiments.design.space.domains import refusal
from experiments.design.space.search_space import Arm, Fixed, searched_domain
from experiments.errors import Conflict, InvalidExperiment, NotFound, Problem
from experiments.models import Experiment, Study, Trial
from experiments.models.experiment import ExperimentState
from experiments.models.project import Role
from experiments.models.trial import FailureKind, Origin, StudyKind, TrialState
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.services import stop_rules, trials
from experiments.trials.lifecycle.training_seeds import asked_seed

MOST_TRIALS = 1_000_000


def try_configuration(
    *,
    access: Access,
    experiment: AnyExperiment,
    parameters: Mapping[str, Any],
    arm: int | None = None,
) -> list[int]:
    """Queue a configuration of a person's own beside the sampler's rows, in any experiment.

    Takes no row of the sampler and none of its budget. An experiment that has ended stays so and
    counts the trial.

    Args:
        parameters: a value for each searched hyperparameter. Scientific ones may be among them;
            they then choose the arm.
        arm: index of the arm to try it in; every arm that it does not contradict when None.

    Returns:
        The ids of the trials, one for each arm.

    Raises:
        NotFound, NotAllowed: for someone who is no editor.
        InvalidExperiment: with one problem for each value that is missing, unknown or outside.
    """
    access.require(Role.EDITOR, experiment)
    file = experiment_file.stored(experiment.document)
    arms = [
        candidate
        for candidate in first_arms(file.space, parameters)
        if arm in (None, candidate.index)
    ]
    _check(file, arms, parameters)
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        made = [_add(locked, candidate, parameters) for candidate in arms]
        _more_budget(locked, len(made))
        dispatch.wake(locked.queue, min(locked.parallel, len(made)))
    return made


def _check(file: ExperimentFile, arms: list[Arm], parameters: Mapping[str, Any]) -> None:
    problems = [
        Problem(name, "no hyperparameter of that name is searched")
        for name in parameters
        if name not in file.space
    ]
    for hyperparameter in file.space.hyperparameters:
        if hyperparameter.name not in parameters:
            continue
        value = parameters[hyperparameter.name]
        if isinstance(hyperparameter.domain, Fixed):
            problems.append(Problem(hyperparameter.name, "is fixed; leave it out"))
        elif reason := refusal(searched_domain(hyperparameter), value):
            problems.append(Problem(hyperparameter.name, f"{value!r} {reason}"))
    if not arms and not problems:
        problems.append(Problem("arm", "there is no such arm, or the values contradict it"))
    for missing in dict.fromkeys(
        hyperparameter.name
        for arm in arms
        for hyperparameter in arm.searched
        if hyperparameter.name not in parameters
    ):
        problems.append(Problem(missing, "is missing"))
    if problems:
        raise InvalidExperiment("The configuration cannot be tried.", problems)


def _add(experiment: AnyExperiment, arm: Arm, parameters: Mapping[str, Any]) -> int:
    study = Study.objects.get(
        experiment=experiment.pk,
        kind=StudyKind.SEARCH,
        arm_index=arm.index,
        deleted_at__isnull=True,
    )
    trial_id, number = trials.create(
        study_id=study.pk,
        state=TrialState.WAITING,
        origin=Origin.MANUAL,
        parameters={
            hyperparameter.name: (
                parameters[hyperparameter.name],
                searched_domain(hyperparameter).distribution(),
            )
            for hyperparameter in arm.searched
        },
        split_seed=experiment.split_seed,
        search_seed=experiment.seed,
    )
    Trial.objects.filter(pk=trial_id).update(train_seed=asked_seed(experiment.seed, number))
    return trial_id


def retry(*, access: Access, trial: AnyTrial) -> int:
    """Queue a failed trial of a search again: a new number, the same row, parameters and seeds.

    Returns:
        The new trial's id.

    Raises:
        NotFound, NotAllowed: for someone who is no editor.
        Conflict: when it has not failed, was infeasible (an outcome that would come again), was
            tried again already, or was run by an external program: no worker would take it.
    """
    experiment = Experiment.objects.filter(studies=trial.study_id).first()
    if experiment is None or trial.study.kind != StudyKind.SEARCH:
        raise NotFound("There is no such trial of a search.")
    access.require(Role.EDITOR, experiment)
    if experiment.is_from_outside:
        raise Conflict(
            "An external program ran it: that program goes on with it, or starts another."
        )
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        failed = Trial.objects.get(pk=trial.pk)
        if failed.state != TrialState.FAILED:
            raise Conflict("Only a failed trial is tried again.")
        if failed.failure_kind == FailureKind.INFEASIBLE:
            raise Conflict("It was infeasible: with the same seeds it would be so again.")
        if failed.retries.exists():
            raise Conflict("It was tried again already.")
        made = _again(failed)
        _more_budget(locked, 1)
        dispatch.wake(locked.queue)
    return made


def _again(failed: Trial) -> int:
    made, _ = trials.create(
        study_id=failed.study_id,
        state=TrialState.WAITING,
        origin=Origin.RETRY,
        row=failed.row,
        retry_of_id=failed.pk,
        train_seed=failed.train_seed,
        split_seed=failed.split_seed,
        search_seed=failed.search_seed,
    )
    Trial.objects.filter(pk=made).update(
        parameters=failed.parameters, distributions=failed.distributions
    )
    return made


def extend_budget(*, access: Access, experiment: AnyExperiment, per_arm: int) -> int:
    """Let the sampler run to `per_arm` trials in every arm; a finished search goes on.

    A quasi-random search continues its sequence. Arms that a terminator ended stay ended.

    Returns:
        How many trials were added.

    Raises:
        NotFound, NotAllowed: for someone who is no editor.
        InvalidExperiment: when the number is out of bounds.
        Conflict: when the search was stopped, or has that many trials already.
    """
    access.require(Role.EDITOR, experiment)
    if not 1 <= per_arm <= MOST_TRIALS:
        raise InvalidExperiment(
            "The number of trials is wrong.",
            [Problem("per_arm", f"found {per_arm}, expected 1 to {MOST_TRIALS}")],
        )
    file = experiment_file.stored(experiment.document)
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        if locked.state == ExperimentState.STOPPED:
            raise Conflict(f"{locked.name} was stopped: {locked.stop_reason}.")
        added = sum(_extend(study, file, per_arm) for study in _searches(locked))
        if not added:
            raise Conflict(
                f"{locked.name} has no arm in which that many trials are still to come."
            )
        _more_budget(locked, added)
        Experiment.objects.filter(pk=locked.pk, state=ExperimentState.FINISHED).update(
            state=ExperimentState.RUNNING,
            stop_reason="",
            finished_at=None,
            active_at=timezone.now(),
        )
        dispatch.wake(locked.queue, min(locked.parallel, added))
    return added


def _searches(experiment: AnyExperiment) -> list[Study]:
    studies = Study.objects.filter(
        experiment=experiment.pk, kind=StudyKind.SEARCH, deleted_at__isnull=True
    )
    return [study for study in studies.order_by("arm_index") if not stop_rules.is_ended(study)]


def _extend(study: Study, file: ExperimentFile, per_arm: int) -> int:
    largest = file.most_trials(file.arms()[study.arm_index])
    wanted = per_arm if largest is None else min(per_arm, largest)
    added = wanted - (study.budget or 0)
    if added <= 0:
        return 0
    Study.objects.filter(pk=study.pk).update(budget=wanted)
    return added


def _more_budget(experiment: AnyExperiment, count: int) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(
        budget=F("budget") + count, active_at=timezone.now()
    )
