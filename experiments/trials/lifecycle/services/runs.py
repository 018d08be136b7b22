"""Runs of programs outside: created, logged to and finished over HTTP.

Nothing of them is ever claimed. They hold attempt 0: what reclaims trials leaves them alone.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from experiments.design import configuration as configurations
from experiments.design import metrics
from experiments.design.metrics import Metric
from experiments.errors import Conflict, Problem, TrialFinished
from experiments.models import Configuration, Experiment, ExperimentTag, Study, Trial
from experiments.models.experiment import OUTSIDE, ExperimentState
from experiments.models.project import Role
from experiments.models.trial import FailureKind, Origin, StudyKind, TrialState
from experiments.models.trial_encoding import Parameter
from experiments.team.queries.access import Access
from experiments.team.services import messages
from experiments.trials.lifecycle.services import trials
from experiments.trials.series.logged_points import LoggedPoints, official_values
from experiments.trials.series.series_encoding import decode, encode
from experiments.trials.series.services import series
from experiments.trials.series.services.series import Appended, Batch

GOAL = "Runs logged by programs outside."
KEY = "verdict:key"  # system attribute: which request created the run
SILENT_AFTER = dt.timedelta(hours=1)
ATTEMPT = 0
COMPACT_EVERY = 256  # batches: a long run must not grow one row a second
_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAILED,
}


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run as its program describes it. `key` makes creating it a second time harmless."""

    experiment: str
    params: Mapping[str, Any] = field(default_factory=dict)
    train_seed: int | None = None
    split_seed: int | None = None
    search_seed: int | None = None
    declared: Mapping[str, Metric] = field(default_factory=dict)
    goal: str = ""
    notes: str = ""
    config_link: str = ""
    tags: tuple[str, ...] = ()
    commit: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    key: str = ""


@dataclass(frozen=True, slots=True)
class Created:
    run_id: int
    number: int
    new: bool


def create(*, access: Access, new: NewRun) -> Created:
    """Start a run, and its experiment when there is none of that name.

    Raises:
        NotAllowed: when the user is not an editor of the project.
        Conflict: when the experiment is one that workers run, was stopped, or declares a metric
            differently.
    """
    access.require(Role.EDITOR)
    with transaction.atomic():
        experiment, study = _experiment(access, new)
        existing = _by_key(study, new.key)
        if existing is not None:
            return Created(existing.pk, existing.number, new=False)
        _declare(experiment, new.declared)
        run_id, number = trials.create(
            study_id=study.pk,
            state=TrialState.RUNNING,
            origin=Origin.OUTSIDE,
            parameters={name: _parameter(value) for name, value in new.params.items()},
            system_attributes={KEY: new.key} if new.key else {},
            configuration_id=_configuration(access.project_id, new).pk,
            train_seed=new.train_seed,
            split_seed=new.split_seed,
            search_seed=new.search_seed,
            attempt=ATTEMPT,
            heartbeat_at=timezone.now(),
        )
        Experiment.objects.filter(pk=experiment.pk).update(
            state=ExperimentState.RUNNING,
            stop_reason="",
            finished_at=None,
            active_at=timezone.now(),
            budget=F("budget") + 1,
        )
    return Created(run_id, number, new=True)


def _experiment(access: Access, new: NewRun) -> tuple[Experiment, Study]:
    """The experiment, locked, and its one study."""
    _, made = Experiment.objects.get_or_create(
        project_id=access.project_id,
        name=new.experiment,
        defaults={
            "goal": new.goal or GOAL,
            "notes": new.notes,
            "config_link": new.config_link,
            "official_metric": access.official_metric,
            "direction": access.direction,
            "margin": access.margin,
            "smallest_gain": access.smallest_gain,
            "sampler": OUTSIDE,
            "commit": new.commit[:64],
            "created_by": access.user,
        },
    )
    experiment = Experiment.objects.select_for_update().get(
        project_id=access.project_id, name=new.experiment
    )
    if experiment.sampler != OUTSIDE:
        raise Conflict(
            f"{new.experiment} is run by workers; choose another name for runs from outside.",
            [Problem("experiment", "is run by workers")],
        )
    if experiment.state == ExperimentState.STOPPED:
        raise Conflict(
            f"{new.experiment} was stopped ({experiment.stop_reason}).",
            [Problem("experiment", "was stopped")],
        )
    if made:
        ExperimentTag.objects.bulk_create(
            ExperimentTag(experiment=experiment, name=tag) for tag in dict.fromkeys(new.tags)
        )
    study, _ = Study.objects.get_or_create(
        experiment=experiment,
        kind=StudyKind.SEARCH,
        defaults={
            "project_id": access.project_id,
            "name": f"{access.slug}/{experiment.name}",
            "directions": experiment.direction,
        },
    )
    return experiment, study


def _by_key(study: Study, key: str) -> Trial | None:
    if not key:
        return None
    found = study.trials.filter(system_attributes__contains=json.dumps(key))
    return next(
        (trial for trial in found if json.loads(trial.system_attributes)[KEY] == key), None
    )


def _declare(experiment: Experiment, declared: Mapping[str, Metric]) -> None:
    """Add declared metrics to the experiment's; what was declared once stands."""
    declared_before = metrics.declared_metrics(experiment.document)
    problems = [
        Problem(f"metrics.{name}", "was declared differently by an earlier run")
        for name, metric in declared.items()
        if name in declared_before and declared_before[name] != metric
    ]
    if problems:
        raise Conflict("A metric was declared differently before.", problems)
    if set(declared) - set(declared_before):
        every = {name: asdict(metric) for name, metric in {**declared_before, **declared}.items()}
        Experiment.objects.filter(pk=experiment.pk).update(
            document=json.dumps({"metrics": every}, sort_keys=True)
        )


def _parameter(value: Any) -> Parameter:
    """A value with the distribution that says no more than that it was this one."""
    distribution: BaseDistribution
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        distribution = CategoricalDistribution((value,))
    elif isinstance(value, int):
        distribution = IntDistribution(value, value)
    else:
        distribution = FloatDistribution(value, value)
    return value, distribution


def _configuration(project_id: int, new: NewRun) -> Configuration:
    document = configurations.canonical(
        objective="",
        parameters=configurations.storable(new.params),
        commit=new.commit,
        data=new.data,
    )
    row, _ = Configuration.objects.get_or_create(
        project_id=project_id,
        digest=configurations.digest(document),
        defaults={"document": document},
    )
    return row


def log(*, run_id: int, official_metric: str, batch: int, logged: LoggedPoints) -> Appended:
    """Store a batch of log calls, once; test scores are sealed.

    A batch that comes when the run has ended is kept and marked.
    """
    latest = official_values(logged.calls, official_metric)
    steps = [step for step, _, _ in logged.calls] or [0]
    with transaction.atomic():
        appended = series.append(
            Batch(
                trial_id=run_id,
                attempt=ATTEMPT,
                batch=batch,
                payload=encode(logged.calls),
                points=logged.points,
                first_step=math.floor(min(steps)),
                last_step=math.ceil(max(steps)),
                latest_value=latest[0] if latest else None,
                latest_step=latest[1] if latest else None,
            ),
            heard_at=timezone.now(),
        )
        if appended.stored and appended.alive:
            for name, value in logged.sealed.items():
                series.seal(trial_id=run_id, name=name, value=value)
    if batch % COMPACT_EVERY == COMPACT_EVERY - 1:
        series.compact(run_id)
    return appended


def keep_alive(*, run_id: int) -> None:
    """Say that a run's program is still there."""
    Trial.objects.filter(pk=run_id, state=TrialState.RUNNING).update(heartbeat_at=timezone.now())


def finish(
    *,
    run_id: int,
    state: str,
    value: float | None = None,
    reason: str = "",
    read_split_seed: bool | None = None,
) -> str:
    """End a run with the value that its program tells, or the best that it logged.

    Args:
        state: complete, pruned or failed. A complete run without a finite official value is
            stored as failed (infeasible when it was logged but never finite). A replicate is
            never pruned: it runs to its end.
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
    wanted, values, facts = _judged(trial, state, value, reason)
    started = trial.started_at or timezone.now()
    try:
        trials.finish(
            trial_id=run_id,
            state=wanted,
            values=values,
            seconds=(timezone.now() - started).total_seconds(),
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
    if not replicate:
        _end_experiment(trial)
    series.compact(run_id)
    return wanted.label.lower()


def _judged(
    trial: Trial, state: str, score: float | None, reason: str
) -> tuple[TrialState, list[float] | None, dict[str, Any]]:
    """State, values and facts of a run that ends."""
    experiment = trial.study.experiment
    assert experiment is not None
    metric = experiment.official_metric
    evaluations, best, best_step = _best(trial, metric, experiment.direction)
    if score is not None:
        best_step = best_step if best == score else None
        best, evaluations = score, max(1, evaluations)
    facts: dict[str, Any] = {
        "evaluations": evaluations,
        "best_step": best_step,
        "failure_reason": reason,
    }
    wanted = _STATES[state]
    if wanted == TrialState.COMPLETE and (best is None or not math.isfinite(best)):
        wanted = TrialState.FAILED
        facts["failure_kind"] = FailureKind.INFEASIBLE if evaluations else FailureKind.EXCEPTION
        facts["failure_reason"] = reason or (
            f"{metric} was not finite in {evaluations} evaluations"
            if evaluations
            else f"{metric} was never logged"
        )
    elif wanted == TrialState.FAILED:
        facts["failure_kind"] = FailureKind.EXCEPTION
    values = None if wanted == TrialState.FAILED or best is None else [best]
    return wanted, values, facts


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


def lose_silent(*, silent_after: dt.timedelta = SILENT_AFTER) -> list[int]:
    """Fail the runs whose programs have not been heard of; returns their ids."""
    deadline = timezone.now() - silent_after
    silent = Trial.objects.filter(
        state=TrialState.RUNNING,
        heartbeat_at__lt=deadline,
        attempt=ATTEMPT,
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
                failure_reason=f"its program was not heard of for {minutes:.0f} minutes",
            )
        except TrialFinished:
            continue
        if trial.study.kind == StudyKind.SEARCH:
            _end_experiment(trial)
        series.compact(trial.pk)
        lost.append(trial.pk)
    return lost
