"""Create, stop, pause and resume experiments, and see when one is finished."""

from __future__ import annotations

import json
from dataclasses import replace

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from experiments import dispatch
from experiments.design.code_version import commit
from experiments.design.document import experiment_file
from experiments.design.document.experiment_file import ExperimentFile
from experiments.design.document.first_configurations import first_arms
from experiments.design.queries.experiments import find_experiment
from experiments.design.queries.records import AnyExperiment
from experiments.design.review.design_review import (
    check_project,
    forbidden,
    misfits,
    taken_name,
)
from experiments.design.space.search_space import Arm, searched_domain
from experiments.errors import Conflict, InvalidExperiment, NotFound, Problem
from experiments.models import Experiment, ExperimentTag, Study, Trial
from experiments.models.experiment import RESUMED, ExperimentState
from experiments.models.project import Role
from experiments.models.trial import FailureKind, Origin, StudyKind, TrialState
from experiments.team.queries.access import Access
from experiments.team.services import messages
from experiments.trials.lifecycle.queries.search_progress import SearchProgress, progress_of
from experiments.trials.lifecycle.services import earlier_trials, stop_rules, trials
from experiments.trials.lifecycle.training_seeds import first_seed


def create(*, access: Access, text: str, extends: AnyExperiment | None = None) -> Experiment:
    """Create an experiment from its file and queue its trials.

    A file that says what it `extends` is held against that experiment: its range must not pass a
    natural limit or an edge of failing trials, and Bayesian search waits for a settled space.
    `extends` marks a copy that Verdict makes itself.

    Raises:
        InvalidExperiment: with one problem for each key that is wrong.
        NotFound: when there is no such project for this user.
        NotAllowed: when the user is not an editor of it.
        Conflict: when the project has an experiment of that name.
    """
    file = experiment_file.parse(text)
    check_project(file, access.slug)
    if access.archived:
        raise NotFound(f"There is no project {file.project}.", [Problem("project", "not found")])
    access.require(Role.EDITOR)
    if problems := misfits(file, access):
        raise InvalidExperiment("The experiment does not fit its project.", problems)
    if extends is None and (problems := forbidden(file, access)):
        raise InvalidExperiment(f"This must not follow {file.extends}.", problems)
    older = extends or (find_experiment(access, file.extends) if file.extends else None)
    try:
        with transaction.atomic():
            experiment = _insert(file, text, access, older)
            for arm in file.arms():
                _add_study(experiment, file, arm)
            if older is not None and file.earlier_trials:
                earlier_trials.attach(experiment, file, older)
            dispatch.wake(experiment.queue, min(experiment.parallel, experiment.budget))
    except IntegrityError:
        raise Conflict(
            f"{access.slug} has an experiment {file.name} already.",
            taken_name(access, file.name),
        ) from None
    return experiment


def _insert(
    file: ExperimentFile,
    text: str,
    access: Access,
    extends: AnyExperiment | None,
) -> Experiment:
    experiment = Experiment.objects.create(
        project_id=access.project_id,
        name=file.name,
        goal=file.goal,
        notes=file.notes,
        config_link=file.config_link,
        objective=file.objective,
        source=text,
        document=experiment_file.as_document(file),
        official_metric=access.official_metric,
        direction=access.direction,
        margin=access.margin if file.margin is None else file.margin,
        smallest_gain=file.smallest_gain or access.smallest_gain,
        sampler=file.sampler,
        pruner=file.pruner,
        seed=file.seed,
        split_seed=file.split_seed,
        parallel=file.parallel,
        budget=file.budget,
        queue=file.queue,
        gpus=file.gpus,
        commit=commit(),
        extends_id=extends.pk if extends else None,
        created_by=access.user,
    )
    ExperimentTag.objects.bulk_create(
        ExperimentTag(experiment=experiment, name=tag) for tag in file.tags
    )
    return experiment


def _add_study(experiment: Experiment, file: ExperimentFile, arm: Arm) -> None:
    name = f"{experiment.project.slug}/{experiment.name}"
    study = Study.objects.create(
        project=experiment.project,
        experiment=experiment,
        kind=StudyKind.SEARCH,
        arm_index=arm.index,
        arm=json.dumps(dict(arm.values)),
        name=f"{name}/{arm.index}" if arm.values else name,
        directions=experiment.direction,
        budget=file.budget_of(arm),
    )
    for index, first in enumerate(file.first):
        if arm not in first_arms(file.space, first):
            continue
        trials.create(
            study_id=study.pk,
            state=TrialState.WAITING,
            origin=Origin.FIRST,
            parameters={
                hyperparameter.name: (
                    first[hyperparameter.name],
                    searched_domain(hyperparameter).distribution(),
                )
                for hyperparameter in arm.searched
            },
            train_seed=first_seed(file.seed, index),
            split_seed=file.split_seed,
            search_seed=file.seed,
        )


def stop(*, access: Access, experiment: AnyExperiment, reason: str = "") -> None:
    """End a search: running trials end at their next log call, no new ones start.

    Raises:
        Conflict: when it has ended already.
    """
    access.require(Role.EDITOR, experiment)
    words = reason or f"stopped by {access.username}"
    if not _end(experiment.pk, ExperimentState.STOPPED, words):
        raise Conflict(f"{experiment.name} has ended already.")


def pause(*, access: Access, experiment: AnyExperiment) -> None:
    """Start no new trials; running ones go on."""
    access.require(Role.EDITOR, experiment)
    reason = f"by {access.username}"
    _move(experiment, ExperimentState.RUNNING, ExperimentState.PAUSED, reason)


def resume(*, access: Access, experiment: AnyExperiment) -> None:
    """Go on after a pause."""
    access.require(Role.EDITOR, experiment)
    with transaction.atomic():
        _move(experiment, ExperimentState.PAUSED, ExperimentState.RUNNING)
        paused = Experiment.objects.filter(pk=experiment.pk, failed_alike__gt=RESUMED)
        paused.update(failed_alike=RESUMED)
        dispatch.wake(experiment.queue, experiment.parallel)


def _move(
    experiment: AnyExperiment, before: ExperimentState, after: ExperimentState, reason: str = ""
) -> None:
    changed = Experiment.objects.filter(pk=experiment.pk, state=before).update(
        state=after, stop_reason=reason, active_at=timezone.now()
    )
    if not changed:
        raise Conflict(f"{experiment.name} is no longer {before.label.lower()}.")


def _end(experiment_id: int, state: ExperimentState, reason: str) -> bool:
    """Compare-and-set to an end state; asks running search trials to stop."""
    now = timezone.now()
    with transaction.atomic():
        changed = Experiment.objects.filter(
            pk=experiment_id, state__in=(ExperimentState.RUNNING, ExperimentState.PAUSED)
        ).update(state=state, stop_reason=reason[:300], finished_at=now, active_at=now)
        if changed and state == ExperimentState.STOPPED:
            searching = Trial.objects.filter(
                study__experiment_id=experiment_id, study__kind=StudyKind.SEARCH
            )
            searching.filter(state=TrialState.RUNNING).update(control="stop")
            _call_off(searching)
        if changed:
            messages.ended(experiment_id)
    return bool(changed)


def _call_off(searching: QuerySet[Trial]) -> None:
    """Cancel trials that a person added beside the search: they would be claimed after its end."""
    asked = searching.filter(state=TrialState.WAITING, origin__in=(Origin.MANUAL, Origin.RETRY))
    for trial_id in asked.values_list("pk", flat=True):
        trials.finish(
            trial_id=trial_id,
            state=TrialState.FAILED,
            values=None,
            failure_kind=FailureKind.CANCELLED,
            failure_reason="the experiment was stopped before it began",
        )


def advance(experiment_id: int) -> SearchProgress:
    """After a trial: end the experiment when its budget is used or a stop rule holds; pause it
    when its first trials all failed with one cause.

    Returns:
        Where it stands then.

    Raises:
        NotFound: when there is no such experiment.
    """
    progress = progress_of(experiment_id)
    if not progress.is_running:
        return progress
    state, why = _due_end(progress)
    if state == ExperimentState.RUNNING:
        paused = _pause_failing(progress)
        return replace(progress, state=ExperimentState.PAUSED) if paused else progress
    _end(experiment_id, state, why)
    return replace(progress, state=state)


def _due_end(progress: SearchProgress) -> tuple[ExperimentState, str]:
    """State that a running experiment is due to have now, and why it ends if it does."""
    experiment_id, document = progress.experiment_id, progress.document
    goes_on = progress.has_rows and stop_rules.may_start(experiment_id, document)
    if not goes_on and not progress.has_unfinished:
        why, by_rule = stop_rules.why_all_done(Experiment.objects.get(pk=experiment_id))
        return (ExperimentState.STOPPED if by_rule else ExperimentState.FINISHED), why
    if stop_rules.has_rules(document):
        reason = stop_rules.reason(Experiment.objects.get(pk=experiment_id))
        if reason:
            return ExperimentState.STOPPED, reason
    return ExperimentState.RUNNING, ""


def _pause_failing(progress: SearchProgress) -> bool:
    """Pause a search whose first trials failed alike, once: a person may resume it."""
    if progress.complete or progress.done < stop_rules.FIRST_FAILURES:
        return False
    experiment = Experiment.objects.select_related("project").get(pk=progress.experiment_id)
    alike = stop_rules.first_failures(experiment)
    if not alike:
        return False
    with transaction.atomic():
        paused = Experiment.objects.filter(
            pk=experiment.pk, state=ExperimentState.RUNNING, failed_alike=0
        ).update(
            state=ExperimentState.PAUSED,
            stop_reason=f"the first {len(alike)} trials failed alike",
            failed_alike=len(alike),
            active_at=timezone.now(),
        )
        if paused:
            messages.failing(experiment, len(alike), alike[-1].failure_reason)
    return bool(paused)


def stop_overdue() -> None:
    """Stop experiments whose time is up, and end those of which nothing is left.

    A worker may have died between its last result and this. Called by workers at every
    heartbeat; doing it twice is harmless.
    """
    timed = Q(document__contains='"minutes"') | Q(document__contains='"gpu_hours"')
    unfinished = Trial.objects.filter(
        study__experiment=OuterRef("pk"),
        study__kind=StudyKind.SEARCH,
        state__in=(TrialState.WAITING, TrialState.RUNNING),
    )
    running = Experiment.objects.filter(
        timed | ~Exists(unfinished), state=ExperimentState.RUNNING
    ).exclude(source="")
    for experiment_id in running.values_list("pk", flat=True):
        advance(experiment_id)
