"""Control of running work: cancel, hand back, retry, change limits.

Running trials hear of it at their next heartbeat, a second later, also while a step blocks: the
supervisor outside the training process hears it.
"""

from __future__ import annotations

import math
from typing import Literal

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from experiments import dispatch
from experiments.design.queries.records import AnyExperiment, AnyTrial
from experiments.errors import Conflict, NotFound, Problem, VerdictError
from experiments.models import Experiment, Study, Trial
from experiments.models.experiment import ExperimentState
from experiments.models.project import Role
from experiments.models.trial import FINISHED, FailureKind, StudyKind, TrialState
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.services import added_trials, experiments, stop_rules, trials

MOST_PARALLEL = 1000
MOST_PRIORITY = 1000
_ACCIDENTS = (FailureKind.EXCEPTION, FailureKind.LOST)
_CANCELLED = "cancelled by {who}"


def cancel(*, access: Access, trial: AnyTrial) -> None:
    """End one trial now, without a result; the search goes on with others.

    One that waits ends at once, one that runs when its worker hears of it.

    Raises:
        NotFound, NotAllowed: for someone who is no editor.
        Conflict: when it has ended, or a program from outside runs it.
    """
    experiment = Experiment.objects.filter(studies=trial.study_id).first()
    if experiment is None:
        raise NotFound("There is no such trial of an experiment.")
    access.require(Role.EDITOR, experiment)
    reason = _CANCELLED.format(who=access.username)
    with transaction.atomic():
        Experiment.objects.select_for_update().get(pk=experiment.pk)
        locked = Trial.objects.select_for_update(of=("self",), no_key=True).get(pk=trial.pk)
        if locked.state in FINISHED:
            raise Conflict("The trial has ended already.")
        if locked.state == TrialState.RUNNING:
            if locked.heartbeat_at is None:
                raise Conflict("A program that is no worker of ours runs it: end it there.")
            Trial.objects.filter(pk=locked.pk).update(control="cancel", failure_reason=reason)
            return
        trials.finish(
            trial_id=locked.pk,
            state=TrialState.FAILED,
            values=None,
            failure_kind=FailureKind.CANCELLED,
            failure_reason=f"{reason} before it began",
        )
    experiments.advance(experiment.pk)


def pause(*, access: Access, experiment: AnyExperiment, hand_back: bool = False) -> None:
    """Start no new trials. Running ones go on, or are handed back to be resumed later.

    Raises:
        NotFound, NotAllowed: for someone who is no editor.
        Conflict: when it is not running.
    """
    with transaction.atomic():
        experiments.pause(access=access, experiment=experiment)
        if hand_back:
            _of_our_workers(experiment).filter(control="").update(control="back")


def resume(*, access: Access, experiment: AnyExperiment) -> None:
    """Go on after a pause; what was not handed back yet stays where it is."""
    with transaction.atomic():
        experiments.resume(access=access, experiment=experiment)
        _of_our_workers(experiment).filter(control="back").update(control="")


def _of_our_workers(experiment: AnyExperiment) -> QuerySet[Trial]:
    return Trial.objects.filter(
        study__experiment=experiment.pk, state=TrialState.RUNNING, heartbeat_at__isnull=False
    )


def retry_failed(*, access: Access, experiment: AnyExperiment) -> int:
    """Queue every trial again that failed by an exception or was lost, each once.

    Each gets a new number and keeps row, parameters and seeds. Cancelled and infeasible ones
    stay as they are.

    Returns:
        How many were queued.

    Raises:
        NotFound, NotAllowed: for someone who is no editor.
        Conflict: when there is none.
    """
    access.require(Role.EDITOR, experiment)
    failed = Trial.objects.filter(
        study__experiment=experiment.pk,
        study__kind=StudyKind.SEARCH,
        study__deleted_at__isnull=True,
        state=TrialState.FAILED,
        failure_kind__in=_ACCIDENTS,
        retries__isnull=True,
    )
    with transaction.atomic():
        made = [added_trials.retry(access=access, trial=trial) for trial in failed.order_by("pk")]
    if not made:
        raise Conflict(f"{experiment.name} has no failed trials to retry.")
    return len(made)


def change(
    *,
    access: Access,
    experiment: AnyExperiment,
    parallel: int | None = None,
    priority: int | None = None,
    gpu_hours: float | Literal["keep"] | None = "keep",
) -> None:
    """Change how an experiment shares the workers, also while it runs; None keeps a value.

    Args:
        parallel: trials at a time. Those that run now are let finish.
        priority: who has the higher one is given what is free first.
        gpu_hours: the experiment's own cap, beyond which no new trials start; None: without one.

    Raises:
        NotFound, NotAllowed: for someone who is no editor.
        VerdictError: with one problem for each value that is out of bounds.
    """
    access.require(Role.EDITOR, experiment)
    wanted = {"parallel": parallel, "priority": priority}
    fields: dict[str, float | None] = {
        name: value for name, value in wanted.items() if value is not None
    }
    if gpu_hours != "keep":
        fields["gpu_hours_cap"] = gpu_hours
    _check(fields)
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        Experiment.objects.filter(pk=locked.pk).update(**fields, active_at=timezone.now())
        dispatch.wake(locked.queue, parallel or locked.parallel)


def _check(fields: dict[str, float | None]) -> None:
    problems = []
    parallel, priority = fields.get("parallel"), fields.get("priority")
    if parallel is not None and not 1 <= parallel <= MOST_PARALLEL:
        problems.append(Problem("parallel", f"found {parallel}, expected 1 to {MOST_PARALLEL}"))
    if priority is not None and not -MOST_PRIORITY <= priority <= MOST_PRIORITY:
        want = f"-{MOST_PRIORITY} to {MOST_PRIORITY}"
        problems.append(Problem("priority", f"found {priority}, expected {want}"))
    cap = fields.get("gpu_hours_cap")
    if cap is not None and not (math.isfinite(cap) and cap > 0):
        problems.append(Problem("gpu_hours", f"found {cap:g}, expected more than 0"))
    if problems:
        raise VerdictError("The change has errors.", problems)


def set_budget(*, access: Access, experiment: AnyExperiment, per_arm: int) -> int:
    """Let the sampler run to `per_arm` trials in every arm: more, or fewer, than it was to.

    Trials that have begun are never taken back.

    Returns:
        By how many trials the budget grew; negative when it shrank.

    Raises:
        NotFound, NotAllowed: for someone who is no editor.
        InvalidExperiment: when the number is out of bounds.
        Conflict: when nothing would change, or the search has ended.
    """
    access.require(Role.EDITOR, experiment)
    budgets = [study.budget or 0 for study in _arms(experiment)]
    if per_arm < 1 or not budgets or per_arm >= max(budgets):
        return added_trials.extend_budget(access=access, experiment=experiment, per_arm=per_arm)
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        if locked.state not in (ExperimentState.RUNNING, ExperimentState.PAUSED):
            raise Conflict(f"{locked.name} has ended already.")
        spared = sum(_shrink(study, per_arm) for study in _arms(locked))
        if not spared:
            raise Conflict(f"{locked.name} has begun all its trials.")
        Experiment.objects.filter(pk=locked.pk).update(
            budget=F("budget") - spared, active_at=timezone.now()
        )
    experiments.advance(experiment.pk)
    return -spared


def _arms(experiment: AnyExperiment) -> list[Study]:
    studies = Study.objects.filter(
        experiment=experiment.pk, kind=StudyKind.SEARCH, deleted_at__isnull=True
    )
    return [study for study in studies.order_by("arm_index") if not stop_rules.is_ended(study)]


def _shrink(study: Study, per_arm: int) -> int:
    before = study.budget or 0
    after = max(study.next_row, min(before, per_arm))
    Study.objects.filter(pk=study.pk).update(budget=after)
    return before - after
