"""A declared replication over fresh seeds: what is compared, when, at which level."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.models.experiment import Experiment
from experiments.models.project import Configuration


class Purpose(models.TextChoices):
    VERDICT = "verdict"  # fresh training and split seeds together
    TRAINING_SEED = "training_seed"
    SPLIT_SEED = "split_seed"
    SEARCH_SEED = "search_seed"
    BASELINE = "baseline"  # a project's first configuration alone, both seeds fresh


class ScoreRule(models.TextChoices):
    TAIL_MEDIAN = "tail_median"
    LAST = "last"
    BEST = "best"


@dataclass(frozen=True, slots=True)
class PickedRuns:
    """Trials that existed before they were compared. Of paired ones, place i of both sides had
    the same seeds; `left_out`: runs of both configurations that have no counterpart.
    """

    candidate: tuple[int, ...]
    baseline: tuple[int, ...]
    paired: bool
    left_out: int = 0


class ReplicationQuerySet(models.QuerySet["Replication"]):
    def group_of(self, first: int) -> ReplicationQuerySet:
        """All replications declared together: the first one and those that share its baseline."""
        return self.filter(Q(pk=first) | Q(first_of_group=first))


class Replication(models.Model):
    """Everything that must be fixed before the first replicate runs."""

    experiment = models.ForeignKey(Experiment, models.CASCADE, related_name="replications")
    purpose = models.CharField(max_length=13, choices=Purpose, default=Purpose.VERDICT)
    candidate = models.ForeignKey(Configuration, models.PROTECT, related_name="+")
    baseline = models.ForeignKey(
        Configuration, models.PROTECT, null=True, blank=True, related_name="+"
    )
    candidate_trial = models.ForeignKey(
        "Trial", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    baseline_trial = models.ForeignKey(
        "Trial", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    # Whether the baseline was the project's champion when this was declared.
    against_champion = models.BooleanField(default=False)
    score_rule = models.CharField(max_length=11, choices=ScoreRule, default=ScoreRule.TAIL_MEDIAN)
    margin = models.FloatField(default=0.0)
    smallest_gain = models.FloatField(null=True, blank=True)
    looks = models.TextField(default="[10, 20, 30]")  # JSON list of pair counts
    level = models.FloatField(default=0.0221)  # one-sided, at each look
    level_source = models.CharField(max_length=300, blank=True)
    root_seed = models.BigIntegerField()
    pairs_queued = models.PositiveIntegerField(default=0)
    # JSON list: totals of pairs at looks that a person asked for after the schedule's last.
    extra_looks = models.TextField(default="[]")
    # JSON list of {"metric", "bound", "limit"}: what the candidate's mean may not break.
    guards = models.TextField(default="[]")
    # JSON of PickedRuns: nothing was declared or queued, runs that existed are compared.
    picked = models.TextField(blank=True)
    # How many candidates were declared together against this baseline; they share its replicates,
    # which stand with the first of them.
    candidates = models.PositiveSmallIntegerField(default=1)
    first_of_group = models.ForeignKey(
        "self", models.CASCADE, null=True, blank=True, related_name="others_of_group"
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ReplicationQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=Q(level__gt=0) & Q(level__lt=0.5), name="replication_level_sane"
            ),
            models.CheckConstraint(
                condition=Q(margin__gte=0), name="replication_margin_not_negative"
            ),
            models.CheckConstraint(
                condition=~Q(purpose="verdict") | Q(baseline__isnull=False),
                name="replication_verdict_has_a_baseline",
            ),
            models.CheckConstraint(
                condition=Q(candidates__gte=1), name="replication_has_a_candidate"
            ),
        )

    def __str__(self) -> str:
        return f"{self.purpose} of {self.experiment_id}"

    @property
    def group(self) -> int:
        """The id of the first of the replications that share their baseline's replicates."""
        return self.first_of_group_id or self.pk

    @property
    def declared_looks(self) -> tuple[int, ...]:
        return tuple(json.loads(self.looks))

    @property
    def looks_after_the_last(self) -> tuple[int, ...]:
        return tuple(json.loads(self.extra_looks))

    @property
    def is_retrospective(self) -> bool:
        """Test whether it compares runs that existed before it."""
        return bool(self.picked)

    @property
    def picked_runs(self) -> PickedRuns | None:
        """Runs of a retrospective comparison; None of a declared replication."""
        if not self.picked:
            return None
        found = json.loads(self.picked)
        ours, theirs = (tuple(found[side]) for side in ("candidate", "baseline"))
        return PickedRuns(ours, theirs, found["paired"], found["left_out"])

    @property
    def declared_guards(self) -> tuple[dict[str, Any], ...]:
        return tuple(json.loads(self.guards))
