"""GPU hours of trials, and caps on them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.db.models import (
    Case,
    DurationField,
    ExpressionWrapper,
    F,
    FloatField,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Length, Replace
from django.utils import timezone

from experiments.design.queries.records import AnyExperiment
from experiments.models import Experiment, Trial
from experiments.models.trial import FINISHED, StudyKind, TrialState

# What a slot without a GPU calls its device; every other name, such as cuda:0, is a GPU's.
NO_GPU = ("", "cpu")


def gpus_in(device: str) -> int:
    """Number of GPUs that a trial's device names: "cuda:0,cuda:1" are two, "cpu" is none."""
    return 0 if device in NO_GPU else device.count(",") + 1


def of_search(experiment: AnyExperiment) -> float:
    """GPU hours of an experiment's search trials; replicates are no part of the search."""
    return _hours(_trials(experiment.pk).filter(study__kind=StudyKind.SEARCH))


def of_experiment(experiment_id: int) -> float:
    """GPU hours of all trials of an experiment, those of its replications included."""
    return _hours(_trials(experiment_id))


def of_person(user_id: int, *, days: int) -> float:
    """GPU hours of a person's experiments: trials that began in the last `days` days."""
    since = timezone.now() - dt.timedelta(days=days)
    return _hours(
        Trial.objects.filter(study__experiment__created_by=user_id, started_at__gte=since)
    )


def why_held_back(experiment: AnyExperiment) -> str:
    """Cap on GPU hours that new trials of an experiment wait for; "" when none does.

    Running ones go on: a cap may be passed by what they still use.
    """
    if not experiment.gpus:
        return ""
    cap = cap_of(experiment)
    if cap is not None and (used := of_experiment(experiment.pk)) >= cap:
        return (
            f"{experiment.name} has used {used:.1f} of {cap:g} GPU hours; its trials wait until "
            "the cap is raised"
        )
    most, days = settings.GPU_HOURS_PER_PERSON, settings.GPU_HOURS_DAYS
    if most and (used := of_person(experiment.created_by_id, days=days)) >= most:
        return (
            f"{_author(experiment)} has used {used:.1f} of {most:g} GPU hours "
            f"in {days} days; trials wait until that is less, or the operator raises "
            "GPU_HOURS_PER_PERSON"
        )
    return ""


def _author(experiment: AnyExperiment) -> str:
    row = Experiment.objects.select_related("created_by").get(pk=experiment.pk)
    return str(row.created_by.get_username())


def cap_of(experiment: AnyExperiment) -> float | None:
    """The cap on an experiment's GPU hours: its own, at most the operator's; None without one."""
    caps = [settings.GPU_HOURS_PER_EXPERIMENT or None, experiment.gpu_hours_cap]
    return min((cap for cap in caps if cap is not None), default=None)


def _trials(experiment_id: int) -> QuerySet[Trial]:
    return Trial.objects.filter(study__experiment_id=experiment_id, study__deleted_at__isnull=True)


def _hours(rows: QuerySet[Trial]) -> float:
    """Hours from claim to end, times the GPUs held.

    Trials still running count until now, and attempts that were lost or handed back as long as
    they lasted. A place on a device that several trials share counts as a whole one.
    """
    end = Case(When(state=TrialState.RUNNING, then=Value(timezone.now())), default="finished_at")
    gpus = 1 + Length("device") - Length(Replace("device", Value(","), Value("")))
    on_gpu = (
        rows.exclude(device__in=NO_GPU)
        .filter(Q(state__in=FINISHED) | Q(state=TrialState.RUNNING), started_at__isnull=False)
        .annotate(gpus=gpus)
        .order_by()
    )
    device_seconds: Any = (
        on_gpu.values("gpus")
        .annotate(
            held=Sum(
                ExpressionWrapper(end - F("started_at"), output_field=DurationField()),
                output_field=DurationField(),
            )
        )
        .values_list("gpus", "held")
    )
    spent: float = rows.order_by().aggregate(
        total=Sum("earlier_gpu_seconds", default=0.0, output_field=FloatField())
    )["total"]
    spent += sum(
        count * length.total_seconds() for count, length in device_seconds if length is not None
    )
    return spent / 3600
