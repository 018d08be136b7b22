"""Claim trials, keep them alive, hand them back: the life of a trial between queue and result.

A message on the queue names no trial. A worker that takes one claims here, with compare-and-set
and an attempt number; whatever it writes later is fenced by that number.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from experiments import configuration as configurations
from experiments import dispatch
from experiments.errors import TrialFenced, TrialFinished
from experiments.models import Configuration, Environment, Experiment, Study, Trial
from experiments.models.experiment import ExperimentState
from experiments.models.trial import FailureKind, Origin, StudyKind, TrialState
from experiments.queries import gpu_hours
from experiments.seeds import row_seed
from experiments.services import attempts, stop_rules, trials, turns


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


# Given the GPUs that a trial asks for: the device that is kept free for it, "cpu" for none, or
# None when there is no room.
Place = Callable[[int], str | None]


def claim(
    *, queue: str, worker_id: int | None, device: str = "cpu", place: Place | None = None
) -> Claim | None:
    """Claim the next trial of a queue, in the order of `turns.candidates`.

    Args:
        device: what the trial is to run on, where there is no `place` to find it.
        place: asked for room once there is a trial to run, by the experiment whose turn it is.

    Returns:
        None when nothing is to be done now, or there is no room for it.
    """
    for experiment_id in turns.candidates(queue):
        with transaction.atomic():
            experiment = Experiment.objects.select_for_update().get(pk=experiment_id)
            if turns.running(experiment_id) >= experiment.parallel or not _open(experiment):
                continue
            if gpu_hours.why_held_back(experiment):
                continue
            where = place(experiment.gpus) if place is not None else device
            if where is None:
                continue
            claimed = _claim_waiting(experiment, worker_id, where) or _claim_row(
                experiment, worker_id, where
            )
            if claimed is not None:
                Experiment.objects.filter(pk=experiment_id).update(claimed_at=timezone.now())
                return claimed
    return None


def claimable(queue: str, *, most_gpus: int | None = None) -> int:
    """How many trials of a queue could start now: for workers that look for themselves.

    `most_gpus`: leaves out experiments whose trials ask for more GPUs than a node has.
    """
    total = 0
    for experiment_id in turns.candidates(queue):
        experiment = Experiment.objects.get(pk=experiment_id)
        if most_gpus is not None and experiment.gpus > most_gpus:
            continue
        free = max(0, experiment.parallel - turns.running(experiment_id))
        if free and not gpu_hours.why_held_back(experiment):
            total += min(free, _open(experiment))
    return total


def _open(experiment: Experiment) -> int:
    """How many of its trials wait or are still to be drawn."""
    rows = sum((study.budget or 0) - study.next_row for study in _with_rows(experiment))
    return _waiting(experiment).count() + rows


def _waiting(experiment: Experiment) -> QuerySet[Trial]:
    """Trials fixed beforehand: those of a search's file only while the experiment runs."""
    wanted = turns.ALWAYS
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

    Returns what is asked of it: "" (go on), "stop", "cancel", "back"; None when it is fenced.
    """
    held = Trial.objects.filter(pk=trial_id, attempt=attempt, state=TrialState.RUNNING)
    if not held.update(heartbeat_at=timezone.now()):
        return None
    return held.values_list("control", flat=True).first()


def why_cancelled(trial_id: int) -> str:
    """Who asked a running trial to end, in words; "" when nobody did."""
    asked = Trial.objects.filter(pk=trial_id, control="cancel")
    return asked.values_list("failure_reason", flat=True).first() or ""


def keep_log_tail(*, trial_id: int, attempt: int, text: str) -> None:
    """Keep the last lines that a running attempt printed."""
    Trial.objects.filter(pk=trial_id, attempt=attempt, state=TrialState.RUNNING).update(
        log_tail=text.replace("\x00", "\ufffd")
    )


def hand_back(*, trial_id: int, attempt: int, reason: str = "", died: bool = False) -> bool:
    """Give an unfinished trial back to the queue: same number, row, parameters and seeds.

    One that a person has asked to end meanwhile ends instead. `died`: its attempt counts against
    the retry budget, as one that a worker gives back of itself does not.

    Returns:
        Whether the attempt still held it.
    """
    with transaction.atomic():
        trial = (
            Trial.objects.select_for_update(of=("self",), no_key=True)
            .select_related("study__experiment")
            .get(pk=trial_id)
        )
        if trial.state != TrialState.RUNNING or trial.attempt != attempt:
            return False
        ends = trial.control in ("cancel", "stop")
        if not ends:
            _put_back(trial, reason, died)
    if ends:
        what = "cancelled" if trial.control == "cancel" else "its experiment was stopped"
        after = f", after {reason}" if reason else ", and its worker ended"
        _fail(trial_id, attempt, FailureKind.CANCELLED, f"{what}{after}")
    return True


def _put_back(trial: Trial, reason: str, died: bool) -> None:
    trial.earlier_gpu_seconds += stop_rules.gpu_seconds_of_attempt(trial)
    trial.losses += died
    trial.state = TrialState.WAITING
    trial.failure_reason = reason
    trial.worker = None
    trial.heartbeat_at = None
    changed = ["state", "failure_reason", "worker", "heartbeat_at", "earlier_gpu_seconds"]
    trial.save(update_fields=[*changed, "losses"])
    trial.open_reports.all().delete()
    experiment = trial.study.experiment
    if experiment is not None:
        dispatch.wake(experiment.queue)


def lose(*, trial_id: int, attempt: int, reason: str) -> None:
    """An attempt died: try again, or fail the trial when its retry budget is used.

    The last lines that it printed stay with the trial.
    """
    losses = Trial.objects.values_list("losses", flat=True).get(pk=trial_id)
    if losses < settings.TRIAL_RETRIES:
        hand_back(trial_id=trial_id, attempt=attempt, reason=reason, died=True)
        return
    times = "once" if not losses else f"{losses + 1} times"
    _fail(trial_id, attempt, FailureKind.LOST, f"{reason} (its process or worker died {times})")


def _fail(trial_id: int, attempt: int, kind: FailureKind, reason: str) -> None:
    trials.finish(
        trial_id=trial_id,
        state=TrialState.FAILED,
        values=None,
        attempt=attempt,
        failure_kind=kind,
        failure_reason=reason,
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
        ).values_list("pk", "attempt", "worker__name")
    )
    taken = []
    for trial_id, attempt, name in stale:
        who = f"its worker {name}" if name else "its worker"
        reason = f"{who} was not heard of for {stale_after.total_seconds():.0f} s"
        with suppress(TrialFenced, TrialFinished):  # another worker was quicker
            lose(trial_id=trial_id, attempt=attempt, reason=reason)
            taken.append(trial_id)
    return taken
