"""An experiment: a goal, a search space with roles, a budget, and where it stands."""

from __future__ import annotations

import json

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from experiments.models.project import Direction, Project

NOT_SEARCHED = "a baseline runs over seeds, nothing is searched"  # a stop reason
OUTSIDE = "outside"  # the sampler of an experiment whose runs choose their own parameters


class ExperimentState(models.TextChoices):
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"


RESUMED = 1  # `failed_alike` of a search that a person resumed: fewer than it is paused for

# No trial completed, and the search has ended or is paused for it.
HAS_FAILED = Q(complete_count=0, failed_count__gt=0) & (
    Q(state__in=(ExperimentState.FINISHED, ExperimentState.STOPPED))
    | Q(state=ExperimentState.PAUSED, failed_alike__gt=RESUMED)
)


class Experiment(models.Model):
    """One question. The search space is frozen at creation: a wider one is a new experiment."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="experiments")
    name = models.CharField(max_length=200)
    goal = models.TextField()
    notes = models.TextField(blank=True)
    config_link = models.URLField(max_length=1000, blank=True)
    objective = models.CharField(max_length=300, blank=True)
    # The experiment file as it was given, and the same in canonical JSON.
    source = models.TextField(blank=True)
    document = models.TextField(default="{}")
    official_metric = models.CharField(max_length=200)
    direction = models.CharField(max_length=8, choices=Direction)
    margin = models.FloatField(default=0.0)
    smallest_gain = models.FloatField(null=True, blank=True)
    sampler = models.CharField(max_length=40)
    pruner = models.CharField(max_length=40, default="none")
    seed = models.BigIntegerField(default=0)
    split_seed = models.BigIntegerField(default=0)
    parallel = models.PositiveIntegerField(default=1)
    budget = models.PositiveIntegerField(default=0)  # trials of all arms together
    queue = models.CharField(max_length=40, default="cpu")
    priority = models.IntegerField(default=0)
    gpus = models.PositiveSmallIntegerField(default=0, db_default=0)  # that each trial asks for
    # New trials wait while it has used as much; null: no cap of its own.
    gpu_hours_cap = models.FloatField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)  # of its newest claim: fair turns
    state = models.CharField(
        max_length=8, choices=ExperimentState, default=ExperimentState.RUNNING
    )
    stop_reason = models.CharField(max_length=300, blank=True)
    commit = models.CharField(max_length=64, blank=True)  # Verdict's own, at its creation
    code = models.CharField(max_length=64, blank=True, db_default="")  # of its last trial: digest
    # JSON list of [digest, source]: the code of its trials, in the order in which it changed.
    codes = models.TextField(default="[]", db_default="[]")
    extends = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="extensions"
    )
    # A search repeated under another seed, to measure how much the search itself varies.
    repeat_of = models.ForeignKey(
        "Replication", models.CASCADE, null=True, blank=True, related_name="searches"
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    active_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    # Members of an ensemble may overfit a little: what that rule says then asks for nothing.
    mutes_overfitting = models.BooleanField(default=False)
    # Kept true in the transaction that finishes a search trial; replicates never count.
    trial_count = models.PositiveIntegerField(default=0)
    complete_count = models.PositiveIntegerField(default=0)
    pruned_count = models.PositiveIntegerField(default=0)
    failed_count = models.PositiveIntegerField(default=0)
    # First trials that failed with one cause, for which the search was paused once; 0: never,
    # `RESUMED`: it goes on all the same.
    failed_alike = models.PositiveIntegerField(default=0, db_default=0)
    # How many of them the findings across trials and the importance were made from, once no
    # trial runs any more; fewer than `trial_count`: they are owed.
    derived_count = models.PositiveIntegerField(default=0, db_default=0)
    best_value = models.FloatField(null=True, blank=True)
    best_trial = models.ForeignKey(
        "Trial", models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(fields=("project", "name"), name="experiment_name_once"),
            models.CheckConstraint(condition=~Q(goal=""), name="experiment_has_a_goal"),
            models.CheckConstraint(
                condition=Q(margin__gte=0), name="experiment_margin_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(parallel__gte=1), name="experiment_parallel_at_least_one"
            ),
            models.CheckConstraint(
                condition=Q(state__in=ExperimentState.values), name="experiment_state_known"
            ),
            models.CheckConstraint(
                condition=Q(
                    trial_count=F("complete_count") + F("pruned_count") + F("failed_count")
                ),
                name="experiment_counters_add_up",
            ),
            models.CheckConstraint(
                condition=Q(best_value__isnull=True) | Q(complete_count__gte=1),
                name="experiment_best_needs_a_complete_trial",
            ),
        )
        indexes = (
            models.Index(fields=("project", "-active_at"), name="experiment_by_activity"),
            models.Index(
                fields=("queue", "state"),
                condition=Q(state="running"),
                name="experiment_runnable",
            ),
            models.Index(
                fields=("active_at",),
                condition=Q(derived_count__lt=F("trial_count")),
                name="experiment_derived_due",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def is_from_outside(self) -> bool:
        """Test whether external programs run its trials: no worker of ours could."""
        return self.sampler == OUTSIDE

    @property
    def has_failed(self) -> bool:
        """As `HAS_FAILED`."""
        ended = self.state in (ExperimentState.FINISHED, ExperimentState.STOPPED)
        paused = self.state == ExperimentState.PAUSED and self.failed_alike > RESUMED
        return self.failed_count > 0 and not self.complete_count and (ended or paused)

    @property
    def code_versions(self) -> list[list[str]]:
        """Digest and source of each version of the code that its trials ran."""
        versions: list[list[str]] = json.loads(self.codes)
        return versions

    @property
    def is_baseline(self) -> bool:
        """Test whether it is one configuration over seeds and no search."""
        return self.stop_reason == NOT_SEARCHED


class ExperimentTag(models.Model):
    experiment = models.ForeignKey(Experiment, models.CASCADE, related_name="tags")
    name = models.CharField(max_length=60)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("experiment", "name"), name="experiment_tag_once"),
        )

    def __str__(self) -> str:
        return self.name
