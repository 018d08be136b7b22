"""Runs of external programs: created and logged to over HTTP.

Nothing of them is ever claimed. They hold attempt 0: what reclaims trials leaves them alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from experiments.design import configuration as configurations
from experiments.design.metrics import Metric
from experiments.models import Configuration, Study, Trial
from experiments.models.project import Role
from experiments.models.trial import Origin, TrialState
from experiments.models.trial_encoding import Parameter
from experiments.team.queries.access import Access
from experiments.trials.lifecycle.services import outside_experiments, trials
from experiments.trials.lifecycle.services.outside_experiments import NewExperiment
from experiments.trials.series.logged_points import LoggedPoints, official_values
from experiments.trials.series.series_encoding import encode
from experiments.trials.series.services import series
from experiments.trials.series.services.series import Appended, Batch

ATTEMPT = 0  # of every run: nothing claims it
KEY = "verdict:key"  # system attribute: which request created the run
COMPACT_EVERY = 256  # batches: a long run must not grow one row a second


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
    name: str = ""  # beside its number


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
        experiment, study, _ = outside_experiments.find_or_create(
            access=access,
            new=NewExperiment(
                name=new.experiment,
                official_metric=access.official_metric,
                direction=access.direction,
                goal=new.goal,
                notes=new.notes,
                config_link=new.config_link,
                commit=new.commit,
                tags=new.tags,
            ),
        )
        existing = _by_key(study, new.key)
        if existing is not None:
            return Created(existing.pk, existing.number, new=False)
        outside_experiments.count_new_run(experiment)
        outside_experiments.declare(experiment, new.declared)
        run_id, number = trials.create(
            study_id=study.pk,
            state=TrialState.RUNNING,
            origin=Origin.OUTSIDE,
            parameters={name: as_constant(value) for name, value in new.params.items()},
            system_attributes={KEY: new.key} if new.key else {},
            configuration_id=configure(
                project_id=access.project_id,
                parameters=new.params,
                commit=new.commit,
                data=new.data,
            ).pk,
            train_seed=new.train_seed,
            split_seed=new.split_seed,
            search_seed=new.search_seed,
            attempt=ATTEMPT,
            heartbeat_at=timezone.now(),
            run_name=new.name,
        )
    return Created(run_id, number, new=True)


def _by_key(study: Study, key: str) -> Trial | None:
    if not key:
        return None
    found = study.trials.filter(system_attributes__contains=json.dumps(key))
    return next(
        (trial for trial in found if json.loads(trial.system_attributes)[KEY] == key), None
    )


def as_constant(value: Any) -> Parameter:
    """A value with the distribution that holds it alone."""
    distribution: BaseDistribution
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        distribution = CategoricalDistribution((value,))
    elif isinstance(value, int):
        distribution = IntDistribution(value, value)
    else:
        distribution = FloatDistribution(value, value)
    return value, distribution


def configure(
    *, project_id: int, parameters: Mapping[str, Any], commit: str, data: Mapping[str, str]
) -> Configuration:
    """The configuration of these parameters, code and data: made with the first run of it."""
    document = configurations.canonical(
        objective="", parameters=configurations.storable(parameters), commit=commit, data=data
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
    with transaction.atomic() if logged.sealed else nullcontext():
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
    """Record a heartbeat of a run's program."""
    Trial.objects.filter(pk=run_id, state=TrialState.RUNNING).update(heartbeat_at=timezone.now())
