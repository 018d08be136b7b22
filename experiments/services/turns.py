"""Whose turn it is: in which order experiments of a queue are given what is free."""

from __future__ import annotations

from django.db.models import Count, Exists, F, IntegerField, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce, Greatest

from experiments.models import Experiment, Trial
from experiments.models.experiment import OUTSIDE, ExperimentState
from experiments.models.trial import Origin, StudyKind, TrialState

# What runs also when its search has ended: a person asked for it.
ALWAYS = Q(study__kind=StudyKind.REPLICATION) | Q(origin__in=(Origin.MANUAL, Origin.RETRY))


def candidates(queue: str) -> list[int]:
    """Ids of experiments that may have work, the one whose turn it is first.

    Highest priority first; among equals the smallest share of what runs now, in slots or GPUs;
    among those the one that was given nothing for longest, so that experiments take turns on
    few slots, too.
    """
    waiting = Trial.objects.filter(
        ALWAYS,
        study__experiment=OuterRef("pk"),
        study__deleted_at__isnull=True,
        state=TrialState.WAITING,
    )
    share = Coalesce(_running(), 0) * Greatest(F("gpus"), Value(1))
    return list(
        Experiment.objects.filter(queue=queue)
        .exclude(state=ExperimentState.PAUSED)
        .exclude(sampler=OUTSIDE)  # programs outside run these, replicates included
        .filter(Q(state=ExperimentState.RUNNING) | Exists(waiting))
        .annotate(share=share)
        .order_by("-priority", "share", F("claimed_at").asc(nulls_first=True), "pk")
        .values_list("pk", flat=True)
    )


def _running() -> Subquery:
    """Running trials of the experiment of the outer query; no row where there are none."""
    return Subquery(
        Trial.objects.filter(study__experiment=OuterRef("pk"), state=TrialState.RUNNING)
        .order_by()
        .values("study__experiment")
        .annotate(count=Count("pk"))
        .values("count"),
        output_field=IntegerField(),
    )


def running(experiment_id: int) -> int:
    """How many trials of an experiment run now, replicates included."""
    return Trial.objects.filter(
        study__experiment_id=experiment_id, state=TrialState.RUNNING
    ).count()
