"""Claim trials, keep them alive, hand them back: the life of a trial between queue and result.

A message on the queue names no trial. A worker that takes one claims here, with compare-and-set
and an attempt number; whatever it writes later is fenced by that number.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from experiments import configuration as configurations
from experiments import dispatch
from experiments.models import Configuration, Environment, Experiment, Study, Trial
from experiments.models.experiment import ExperimentState
from experiments.models.trial import FailureKind, Origin, StudyKind, TrialState
from experiments.seeds import row_seed
from experiments.services import attempts, stop_rules, trials

MOST_ATTEMPTS = 3
# What runs also when its search has ended: a person asked for it.
_ALWAYS = Q(study__kind=StudyKind.REPLICATION) | Q(origin__in=(Origin.MANUAL, Origin.RETRY))


@dataclass(frozen=True, slots=True)
class Claim:
    """A trial that one worker holds, with the attempt number that fences its writes."""

    trial_id: int
    study_id: int
    experiment_id: int
    number: int
    attempt: int
    kind: str
    has_parameters: bool  # fixed beforehand: a replicate, a known-good one, an earlier attempt


def claim(*, queue: str, worker_id: int | None, device: str = "cpu") -> Claim | None:
    """Claim the next trial of a queue: highest priority first, then fewest running.

    Returns None when nothing is to be done now.
    """
    for experiment_id in _candidates(queue):
        with transaction.atomic():
            experiment = Experiment.objects.select_for_update().get(pk=experiment_id)
            if _running(experiment_id) >= experiment.parallel:
                continue
            claimed = _claim_waiting(experiment, worker_id, device) or _claim_row(
                experiment, worker_id, device
            )
        if claimed is not None:
            return claimed
    return None


def claimable(queue: str) -> int:
    """How many trials of a queue could start now: for workers that look for themselves."""
    total = 0
    for experiment_id in _candidates(queue):
        experiment = Experiment.objects.get(pk=experiment_id)
        free = max(0, experiment.parallel - _running(experiment_id))
        waiting = _waiting(experiment).count()
        rows = sum((study.budget or 0) - study.next_row for study in _with_rows(experiment))
        total += min(free, waiting + rows)
    return total


def _running(experiment_id: int) -> int:
    return Trial.objects.filter(
        study__experiment_id=experiment_id, state=TrialState.RUNNING
    ).count()


def _candidates(queue: str) -> list[int]:
    waiting = Trial.objects.filter(
        _ALWAYS,
        study__experiment=OuterRef("pk"),
        study__deleted_at__isnull=True,
        state=TrialState.WAITING,
    )
    running = Count("studies__trials", filter=Q(studies__trials__state=TrialState.RUNNING))
    return list(
        Experiment.objects.filter(queue=queue)
        .exclude(state=ExperimentState.PAUSED)
        .filter(Q(state=ExperimentState.RUNNING) | Exists(waiting))
        .annotate(running=running)
        .order_by("-priority", "running", "pk")
        .values_list("pk", flat=True)
    )


def _waiting(experiment: Experiment) -> QuerySet[Trial]:
    """Trials fixed beforehand: those of a search's file only while the experiment runs."""
    wanted = _ALWAYS
    if experiment.state == ExperimentState.RUNNING:
        wanted |= Q(study__kind=StudyKind.SEARCH)
    return Trial.objects.filter(
        wanted,
        study__experiment=experiment,
        study__deleted_at__isnull=True,
        state=TrialState.WAITING,
    )


def _claim_waiting(experiment: Experiment, worker_id: int | None, device: str) -> Claim | None:
    trial = (
        _waiting(experiment)
        .select_related("study")
        .order_by(F("pair").asc(nulls_first=True), "number", "study_id")
        .first()
    )
    if trial is None:
        return None
    now = timezone.now()
    changed = Trial.objects.filter(pk=trial.pk, state=TrialState.WAITING).update(
        state=TrialState.RUNNING,
        attempt=F("attempt") + 1,
        worker_id=worker_id,
        device=device,
        heartbeat_at=now,
        started_at=now,
        control="",
        latest_value=None,
        latest_step=None,
    )
    if not changed:
        return None
    trial.refresh_from_db(fields=["attempt"])
    fixed = trial.parameters != "{}" or trial.configuration_id is not None
    return _claimed(trial, trial.study, fixed)


def _with_rows(experiment: Experiment) -> Iterator[Study]:
    """Searches with sampler rows left, the one that is behind first."""
    if experiment.state != ExperimentState.RUNNING or not stop_rules.may_start(experiment):
        return iter(())
    return (
        Study.objects.filter(
            experiment=experiment,
            kind=StudyKind.SEARCH,
            deleted_at__isnull=True,
            next_row__lt=F("budget"),
        )
        .order_by("next_row", "arm_index")
        .iterator()
    )


def _claim_row(experiment: Experiment, worker_id: int | None, device: str) -> Claim | None:
    study = next(iter(_with_rows(experiment)), None)
    if study is None:
        return None
    # The experiment's row is locked, so the counter cannot move before `create` takes it.
    trial_id, _ = trials.create(
        study_id=study.pk,
        state=TrialState.RUNNING,
        origin=Origin.SAMPLER,
        take_row=True,
        train_seed=row_seed(experiment.seed, study.next_row),
        split_seed=experiment.split_seed,
        search_seed=experiment.seed,
        worker_id=worker_id,
        attempt=1,
    )
    Trial.objects.filter(pk=trial_id).update(device=device, heartbeat_at=timezone.now())
    return _claimed(Trial.objects.get(pk=trial_id), study, fixed=False)


def _claimed(trial: Trial, study: Study, fixed: bool) -> Claim:
    if study.experiment_id is None:
        raise ValueError(f"study {study.pk} belongs to no experiment")
    return Claim(
        trial_id=trial.pk,
        study_id=study.pk,
        experiment_id=study.experiment_id,
        number=trial.number,
        attempt=trial.attempt,
        kind=study.kind,
        has_parameters=fixed,
    )


def begin(
    *,
    claim: Claim,
    parameters: dict[str, Any],
    objective: str,
    commit: str,
    environment: dict[str, Any],
    data: Mapping[str, str] | None = None,
) -> Configuration:
    """Record which configuration runs, and where, before the first step.

    A replicate's configuration was fixed when it was queued and stays.

    Raises:
        TrialFenced: when another worker has taken the trial over.
    """
    with transaction.atomic():
        trial = Trial.objects.select_related("configuration", "study").get(pk=claim.trial_id)
        held = trial.configuration or _configuration(
            trial.study.project_id,
            configurations.canonical(
                objective=objective, parameters=parameters, commit=commit, data=data
            ),
        )
        attempts.require_attempt(trial_id=claim.trial_id, attempt=claim.attempt)
        Trial.objects.filter(pk=claim.trial_id).update(
            configuration=held, environment=_environment(environment)
        )
    return held


def _configuration(project_id: int, document: str) -> Configuration:
    held, _ = Configuration.objects.get_or_create(
        project_id=project_id,
        digest=configurations.digest(document),
        defaults={"document": document},
    )
    return held


def _environment(record: dict[str, Any]) -> Environment:
    document = json.dumps(record, sort_keys=True)
    held, _ = Environment.objects.get_or_create(
        digest=configurations.digest(document), defaults={"document": document}
    )
    return held


def heartbeat(*, trial_id: int, attempt: int) -> str | None:
    """Say that an attempt is alive.

    Returns what is asked of it: "" (go on), "stop", "cancel"; None when it is fenced.
    """
    held = Trial.objects.filter(pk=trial_id, attempt=attempt, state=TrialState.RUNNING)
    if not held.update(heartbeat_at=timezone.now()):
        return None
    return held.values_list("control", flat=True).first()


def keep_log_tail(*, trial_id: int, attempt: int, text: str) -> None:
    """Keep the last lines that a running attempt printed."""
    Trial.objects.filter(pk=trial_id, attempt=attempt, state=TrialState.RUNNING).update(
        log_tail=text.replace("\x00", "\ufffd")
    )


def hand_back(*, trial_id: int, attempt: int, reason: str = "") -> bool:
    """Give an unfinished trial back to the queue: same number, row, parameters and seeds."""
    with transaction.atomic():
        trial = (
            Trial.objects.select_for_update(of=("self",), no_key=True)
            .select_related("study__experiment")
            .get(pk=trial_id)
        )
        if trial.state != TrialState.RUNNING or trial.attempt != attempt:
            return False
        trial.earlier_gpu_seconds += stop_rules.gpu_seconds_of_attempt(trial)
        trial.state = TrialState.WAITING
        trial.failure_reason = reason
        trial.worker = None
        trial.heartbeat_at = None
        changed = ["state", "failure_reason", "worker", "heartbeat_at", "earlier_gpu_seconds"]
        trial.save(update_fields=changed)
        trial.open_reports.all().delete()
        experiment = trial.study.experiment
        if experiment is not None:
            dispatch.wake(experiment.queue)
    return True


def lose(*, trial_id: int, attempt: int, reason: str) -> None:
    """An attempt died: try again, or fail the trial when it has died too often."""
    if attempt < MOST_ATTEMPTS:
        hand_back(trial_id=trial_id, attempt=attempt, reason=reason)
        return
    trials.finish(
        trial_id=trial_id,
        state=TrialState.FAILED,
        values=None,
        attempt=attempt,
        failure_kind=FailureKind.LOST,
        failure_reason=f"{reason} (attempt {attempt} of {MOST_ATTEMPTS})",
    )


def reap(*, stale_after: dt.timedelta) -> list[int]:
    """Take over trials whose worker has not been heard of for `stale_after`.

    Only trials of our workers: what a program from outside asked has no heartbeat.
    Returns the trials' ids.
    """
    deadline = timezone.now() - stale_after
    stale = list(
        Trial.objects.filter(
            state=TrialState.RUNNING, heartbeat_at__lt=deadline, attempt__gte=1
        ).values_list("pk", "attempt")
    )
    for trial_id, attempt in stale:
        seconds = stale_after.total_seconds()
        lose(
            trial_id=trial_id,
            attempt=attempt,
            reason=f"its worker was not heard of for {seconds:.0f} s",
        )
    return [trial_id for trial_id, _ in stale]
