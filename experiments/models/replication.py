"""A declared repetition over fresh seeds: what is compared, when, at which level."""

from __future__ import annotations

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


class ScoreRule(models.TextChoices):
    TAIL_MEDIAN = "tail_median"
    LAST = "last"
    BEST = "best"


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
    # Set when a person asked for seeds beyond the declared schedule.
    after_peeking = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

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
        )

    def __str__(self) -> str:
        return f"{self.purpose} of {self.experiment_id}"
