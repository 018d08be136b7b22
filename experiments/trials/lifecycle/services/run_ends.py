"""Ends of outside programs' runs: reported by the program, or after a heartbeat timeout.

A run that a tracker's client logs may go on after its end: it is scored and counted anew.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from experiments.errors import Conflict, TrialFinished
from experiments.models import Experiment, Trial
from experiments.models import trial_encoding as encoding
from experiments.models.experiment import OUTSIDE, ExperimentState
from experiments.models.trial import FINISHED, FailureKind, StudyKind, TrialState
from experiments.team.services import messages
from experiments.trials.lifecycle.services import trials
from experiments.trials.series.series_encoding import decode
from experiments.trials.series.services import series

SILENT_AFTER = dt.timedelta(hours=1)
_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAILED,
    "cancelled": TrialState.FAILED,
    "terminated": TrialState.FAILED,
}


def finish(
    *,
    run_id: int,
    state: str,
    value: float | None = None,
    reason: str = "",
    read_split_seed: bool | None = None,
    finished_at: dt.datetime | None = None,
    summary: Mapping[str, Any] | None = None,
) -> str:
    """End a run with the value that its program tells, or the best that it logged.

    Args:
        state: complete, pruned, failed, or, stored as failed, cancelled or terminated (its
            program was ended from outside: that says nothing of the configuration). A complete
            run whose official metric was logged but never finite is infeasible; one that never
            logged it has no score, and a replicate without one has failed. A replicate is never
            pruned: it runs to its end.
        summary: what the program wants the run to be known by, kept as attributes.
        read_split_seed: whether the data was split by the seed, of a program that was handed one.

    Returns:
        The state that is stored. Ending a run again the same way changes nothing.

    Raises:
        Conflict: when it has ended another way.
    """
    trial = Trial.objects.select_related("study__experiment").get(pk=run_id)
    replicate = trial.study.kind == StudyKind.REPLICATION
    if replicate and state == "pruned":
        raise Conflict("A replicate runs to its end: finish it as complete or failed.")
    wanted, values, facts = _judged(trial, _STATES[state], value, reason)
    if state == "cancelled":
        facts["failure_kind"] = FailureKind.CANCELLED
    elif state == "terminated":
        facts["failure_kind"] = FailureKind.LOST
        facts["failure_reason"] = f"terminated: {reason or 'its program was ended'}"
    ended = finished_at or timezone.now()
    started = trial.started_at or ended
    try:
        trials.finish(
            trial_id=run_id,
            state=wanted,
            values=values,
            seconds=max(0.0, (ended - started).total_seconds()),
            # Whoever gave a split seed has split by it; whoever was handed one tells.
            read_split_seed=bool(trial.read_split_seed or read_split_seed)
            if replicate
            else trial.split_seed is not None,
            **facts,
        )
    except TrialFinished:
        trial.refresh_from_db(fields=["state"])
        if trial.state != wanted:
            raise
    if summary:
        every = {**encoding.decode(trial.user_attributes), **summary}
        Trial.objects.filter(pk=run_id).update(user_attributes=encoding.encode(every))
    if finished_at is not None:
        Trial.objects.filter(pk=run_id).update(finished_at=finished_at)
    if not replicate:
        _end_experiment(trial)
    series.compact(run_id)
    return wanted.label.lower()


def _judged(
    trial: Trial, state: TrialState, value: float | None, reason: str
) -> tuple[TrialState, list[float] | None, dict[str, Any]]:
    """State, values and facts of a run that ends."""
    experiment = trial.study.experiment
    assert experiment is not None
    metric = experiment.official_metric
    evaluations, best, best_step = _best(trial, metric, experiment.direction)
    if value is not None:
        best_step = best_step if best == value else None
        best, evaluations = value, max(1, evaluations)
    facts: dict[str, Any] = {
        "evaluations": evaluations,
        "best_step": best_step,
        "failure_reason": reason,
    }
    # A run of a search may log no score at all: one that holds others, or whose metric that
    # decides is named later.
    unscored = trial.study.kind == StudyKind.SEARCH and evaluations == 0
    if state == TrialState.COMPLETE and not unscored:
        if best is None or not math.isfinite(best):
            state = TrialState.FAILED
            facts["failure_kind"] = (
                FailureKind.INFEASIBLE if evaluations else FailureKind.EXCEPTION
            )
            facts["failure_reason"] = reason or (
                f"{metric} was not finite in {evaluations} evaluations"
                if evaluations
                else f"{metric} was never logged"
            )
    elif state == TrialState.FAILED:
        facts["failure_kind"] = FailureKind.EXCEPTION
    values = None if state == TrialState.FAILED or best is None else [best]
    return state, values, facts


def score(trial: Trial) -> None:
    """Score an ended run anew, from the points that it has by now. The caller recounts.

    A run that is still logging shows its latest official value.
    """
    experiment = trial.study.experiment
    assert experiment is not None
    if trial.state == TrialState.RUNNING:
        found = trial.latest_metrics.filter(name=experiment.official_metric).first()
        if found is not None:
            Trial.objects.filter(pk=trial.pk).update(
                latest_value=found.value, latest_step=found.step
            )
        return
    infeasible = trial.failure_kind == FailureKind.INFEASIBLE
    if trial.state not in FINISHED or (trial.state == TrialState.FAILED and not infeasible):
        return
    state = TrialState.COMPLETE if infeasible else TrialState(trial.state)
    judged = _judged(trial, state, None, "")
    if not judged[2]["evaluations"] and trial.value is not None:
        judged = _judged(trial, state, trial.value, "")  # its program told it, and logged nothing
    state, values, facts = judged
    Trial.objects.filter(pk=trial.pk).update(
        **{"failure_kind": "", **facts},
        state=state,
        values=encoding.encode_values(values, complete=state == TrialState.COMPLETE),
        value=encoding.first_finite(values),
        findings_due=True,
    )


def recount(experiment: Experiment) -> None:
    """Count an experiment's runs and find the best anew. The experiment is locked."""
    runs = Trial.objects.filter(
        study__experiment=experiment,
        study__kind=StudyKind.SEARCH,
        study__deleted_at__isnull=True,
        state__in=FINISHED,
    )
    counted = dict(runs.order_by("state").values_list("state").annotate(Count("pk")))
    by = "value" if experiment.direction == "minimize" else "-value"
    complete = runs.filter(state=TrialState.COMPLETE, value__isnull=False)
    best = complete.order_by(by, "number").values_list("pk", "value").first()
    Experiment.objects.filter(pk=experiment.pk).update(
        trial_count=sum(counted.values()),
        complete_count=counted.get(TrialState.COMPLETE, 0),
        pruned_count=counted.get(TrialState.PRUNED, 0),
        failed_count=counted.get(TrialState.FAILED, 0),
        derived_count=0,  # what was made of them is owed again
        best_trial=best[0] if best else None,
        best_value=best[1] if best else None,
        active_at=timezone.now(),
    )


def reopen(*, run_id: int, failure_kinds: Sequence[str] = ()) -> None:
    """Let an ended run go on; nothing that it logged is lost, and it is counted when it ends.

    One of a tracker's client, or any that failed in one of these ways.
    """
    with transaction.atomic():
        experiment = Experiment.objects.select_for_update().get(studies__trials=run_id)
        reopened = Trial.objects.filter(
            Q(run_id__isnull=False, state__in=(*FINISHED, TrialState.WAITING))
            | Q(state=TrialState.FAILED, failure_kind__in=failure_kinds),
            pk=run_id,
        ).update(
            state=TrialState.RUNNING,
            values=None,
            value=None,
            finished_at=None,
            seconds=None,
            failure_kind="",
            failure_reason="",
            findings_due=False,
            heartbeat_at=timezone.now(),
        )
        if reopened:
            recount(experiment)
            Experiment.objects.filter(pk=experiment.pk).update(
                state=ExperimentState.RUNNING, stop_reason="", finished_at=None
            )


def _best(trial: Trial, metric: str, direction: str) -> tuple[int, float | None, int | None]:
    """Number of evaluations, the best finite one (the first of equals) and its step."""
    evaluations, best, best_step = 0, None, None
    sign = 1 if direction == "maximize" else -1
    rows = trial.series.filter(attempt=trial.attempt, fenced=False).order_by("batch")
    for payload in rows.values_list("payload", flat=True).iterator(chunk_size=16):
        columns = decode(bytes(payload), [metric]).get(metric)
        if columns is None:
            continue
        evaluations += len(columns.values)
        ranked = np.where(np.isfinite(columns.values), sign * columns.values, -np.inf)
        place = int(np.argmax(ranked))
        if np.isfinite(ranked[place]) and (best is None or ranked[place] > sign * best):
            best, best_step = float(columns.values[place]), columns.steps[place].item()
    return evaluations, best, best_step


def _end_experiment(trial: Trial) -> None:
    """An experiment of such runs alone is finished while none of them runs."""
    now = timezone.now()
    with transaction.atomic():
        # Locked, so that no run begins in between.
        experiment = Experiment.objects.select_for_update().get(studies__trials=trial.pk)
        running = Trial.objects.filter(
            study__experiment=experiment,
            study__kind=StudyKind.SEARCH,
            state=TrialState.RUNNING,
        )
        if experiment.state == ExperimentState.RUNNING and not running.exists():
            Experiment.objects.filter(pk=experiment.pk).update(
                state=ExperimentState.FINISHED,
                stop_reason="all runs ended",
                finished_at=now,
                active_at=now,
            )
            messages.ended(experiment.pk)


def fail_silent(*, silent_after: dt.timedelta = SILENT_AFTER) -> list[int]:
    """Fail runs of programs without a heartbeat; returns their ids."""
    deadline = timezone.now() - silent_after
    silent = Trial.objects.filter(
        state=TrialState.RUNNING,
        heartbeat_at__lt=deadline,
        attempt=0,
        study__experiment__sampler=OUTSIDE,
    ).select_related("study")
    lost = []
    for trial in silent:
        minutes = silent_after.total_seconds() / 60
        try:
            trials.finish(
                trial_id=trial.pk,
                state=TrialState.FAILED,
                values=None,
                failure_kind=FailureKind.LOST,
                failure_reason=f"its program sent no heartbeat for {minutes:.0f} minutes",
            )
        except TrialFinished:
            continue
        if trial.study.kind == StudyKind.SEARCH:
            _end_experiment(trial)
        series.compact(trial.pk)
        lost.append(trial.pk)
    return lost
