"""Studies and trials: the one place where a trial is stored."""

from __future__ import annotations

from typing import Protocol

from django.db import models
from django.db.models import Q

from experiments.models.experiment import Experiment
from experiments.models.project import Configuration, Project
from experiments.models.replication import PickedRuns, Purpose
from experiments.models.step_field import StepField


class StudyKind(models.TextChoices):
    SEARCH = "search"
    REPLICATION = "replication"
    PROBE = "probe"  # paired runs beyond an edge of the search space
    FREE = "free"  # Optuna used from outside


class Side(models.TextChoices):
    CANDIDATE = "candidate"
    BASELINE = "baseline"


class Study(models.Model):
    """One Optuna study: a search over one arm or the mixed space, a replication or a probe."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="studies")
    experiment = models.ForeignKey(
        Experiment, models.CASCADE, null=True, blank=True, related_name="studies"
    )
    replication = models.ForeignKey(
        "Replication", models.CASCADE, null=True, blank=True, related_name="studies"
    )
    probe = models.ForeignKey(
        "EdgeProbe", models.CASCADE, null=True, blank=True, related_name="studies"
    )
    kind = models.CharField(max_length=11, choices=StudyKind)
    side = models.CharField(max_length=9, choices=Side, blank=True)
    arm_index = models.PositiveIntegerField(default=0)
    arm = models.TextField(default="{}")  # JSON: scientific values of this arm
    name = models.CharField(max_length=512)
    directions = models.CharField(max_length=200)  # "minimize maximize"
    user_attributes = models.TextField(default="{}")
    system_attributes = models.TextField(default="{}")
    budget = models.PositiveIntegerField(null=True, blank=True)  # sampler rows; null: unlimited
    next_number = models.PositiveIntegerField(default=0)
    next_row = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            # A deleted study's name is free again.
            models.UniqueConstraint(
                fields=("name",), condition=Q(deleted_at__isnull=True), name="study_name_once"
            ),
            models.CheckConstraint(
                condition=Q(kind="free", experiment__isnull=True)
                | (~Q(kind="free") & Q(experiment__isnull=False)),
                name="study_free_or_of_an_experiment",
            ),
            models.CheckConstraint(
                condition=Q(kind="replication", replication__isnull=False, side__in=Side.values)
                | (~Q(kind="replication") & Q(replication__isnull=True, side="")),
                name="study_replication_has_a_side",
            ),
            models.CheckConstraint(
                condition=Q(kind="probe", probe__isnull=False)
                | (~Q(kind="probe") & Q(probe__isnull=True)),
                name="study_probe_is_of_a_probe",
            ),
        )

    def __str__(self) -> str:
        return self.name


class TrialState(models.IntegerChoices):
    """The numbers of `optuna.trial.TrialState`."""

    RUNNING = 0
    COMPLETE = 1
    PRUNED = 2
    FAILED = 3
    WAITING = 4


FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)


class Origin(models.TextChoices):
    SAMPLER = "sampler"
    FIRST = "first"  # a known-good configuration of the experiment file
    MANUAL = "manual"
    RETRY = "retry"
    REPLICATE = "replicate"
    PROBE = "probe"
    OUTSIDE = "outside"  # asked by a program that is not our worker


class FailureKind(models.TextChoices):
    NONE = ""
    EXCEPTION = "exception"
    INFEASIBLE = "infeasible"  # no finite official value: an outcome, not an accident
    LOST = "lost"  # its worker died
    CANCELLED = "cancelled"


class Environment(models.Model):
    """Environment of a trial: packages, host, device. Shared by all trials that ran there."""

    digest = models.CharField(max_length=64, unique=True)
    document = models.TextField()

    def __str__(self) -> str:
        return self.digest[:12]


class Declared(Protocol):
    """A replication, or a record of one, as far as its replicates are found by it."""

    @property
    def pk(self) -> int: ...
    @property
    def purpose(self) -> str: ...
    @property
    def group(self) -> int: ...
    @property
    def pairs_queued(self) -> int: ...
    @property
    def picked_runs(self) -> PickedRuns | None: ...


class TrialQuerySet(models.QuerySet["Trial"]):
    def replicates_of(self, replication: Declared) -> TrialQuerySet:
        """Runs of a replication, those of a baseline that it shares with others included; of a
        retrospective one those that were picked.

        Others may have gone on to later looks, so pairs beyond its own are left out.
        """
        if picked := replication.picked_runs:
            return self.filter(pk__in=[*picked.candidate, *picked.baseline])
        if replication.purpose != Purpose.VERDICT:
            return self.filter(study__replication=replication.pk)
        shared = Q(study__replication=replication.group, study__side=Side.BASELINE)
        own = Q(study__replication=replication.pk, study__side=Side.CANDIDATE)
        return self.filter(shared | own, pair__lt=replication.pairs_queued)


class Trial(models.Model):
    """One evaluation of one configuration. Finished trials never change."""

    # No index of its own: the unique pair of study and number serves.
    study = models.ForeignKey(Study, models.CASCADE, related_name="trials", db_index=False)
    number = models.PositiveIntegerField()
    state = models.SmallIntegerField(choices=TrialState)
    origin = models.CharField(max_length=9, choices=Origin, default=Origin.OUTSIDE)
    configuration = models.ForeignKey(
        Configuration, models.PROTECT, null=True, blank=True, related_name="trials"
    )
    # Ordered JSON, see `experiments.models.trial_encoding`: name to value, name to distribution.
    parameters = models.TextField(default="{}")
    distributions = models.TextField(default="{}")
    values = models.TextField(null=True, blank=True)  # noqa: DJ001 - null: no values were told
    value = models.FloatField(null=True, blank=True)  # the first of them when finite, to sort by
    user_attributes = models.TextField(default="{}")
    system_attributes = models.TextField(default="{}")
    reports = models.BinaryField(null=True, blank=True)  # packed when the trial ends

    row = models.PositiveIntegerField(null=True, blank=True)  # of the quasi-random sequence
    pair = models.PositiveIntegerField(null=True, blank=True)  # replicate i of both sides
    retry_of = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="retries"
    )
    train_seed = models.BigIntegerField(null=True, blank=True)
    split_seed = models.BigIntegerField(null=True, blank=True)
    search_seed = models.BigIntegerField(null=True, blank=True)

    # Of a run that an external program logs: its id and name there, and the run it is nested in.
    run_id = models.UUIDField(null=True, blank=True, unique=True)
    run_name = models.CharField(max_length=500, blank=True, default="", db_default="")
    parent = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="children"
    )

    attempt = models.PositiveSmallIntegerField(default=0)
    losses = models.PositiveSmallIntegerField(default=0, db_default=0)  # attempts that died
    # JSON: attempt -> step of the checkpoint that it went on from. Others began anew.
    resumed = models.TextField(default="{}", db_default="{}")
    worker = models.ForeignKey(
        "Worker", models.SET_NULL, null=True, blank=True, related_name="trials"
    )
    device = models.CharField(max_length=400, blank=True)  # "cpu", or "cuda:0,cuda:1"
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    # Asked by a person: "stop", "cancel" or "back" (to the queue).
    control = models.CharField(max_length=6, blank=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    latest_value = models.FloatField(null=True, blank=True)  # official metric, while running
    latest_step = StepField(null=True, blank=True)
    best_step = StepField(null=True, blank=True)
    evaluations = models.PositiveIntegerField(null=True, blank=True)
    read_split_seed = models.BooleanField(null=True, blank=True)
    stopped_early = models.BooleanField(default=False)
    seconds = models.FloatField(null=True, blank=True)
    # What earlier attempts have held a GPU for; their result is lost, the time is spent.
    earlier_gpu_seconds = models.FloatField(default=0.0, db_default=0.0)
    peak_memory_mb = models.FloatField(null=True, blank=True)
    failure_kind = models.CharField(max_length=10, choices=FailureKind, blank=True)
    failure_reason = models.TextField(blank=True)
    traceback = models.TextField(blank=True)
    log_tail = models.TextField(blank=True)
    environment = models.ForeignKey(
        Environment, models.PROTECT, null=True, blank=True, related_name="trials"
    )
    # Set in the transaction that finishes a search trial, cleared in the one that records what
    # the rules saw in it: a worker that dies between leaves it to the others.
    findings_due = models.BooleanField(default=False, db_default=False)
    # Ended before metrics were summarised (`LatestMetric`): a worker node makes up for it.
    metrics_due = models.BooleanField(default=False, db_default=False)
    archived_at = models.DateTimeField(null=True, blank=True)  # tables leave it out

    objects = TrialQuerySet.as_manager()

    class Meta:
        ordering = ("study", "number")
        constraints = (
            models.UniqueConstraint(fields=("study", "number"), name="trial_number_once"),
            models.UniqueConstraint(
                fields=("study", "row"),
                condition=Q(row__isnull=False) & ~Q(origin="retry"),
                name="trial_row_once",
            ),
            models.CheckConstraint(
                condition=Q(state__in=TrialState.values), name="trial_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state=1) | Q(values__isnull=False),
                name="trial_complete_has_values",
            ),
        )
        indexes = (
            models.Index(fields=("study", "state", "number"), name="trial_by_state"),
            models.Index(
                fields=("heartbeat_at",), condition=Q(state=0), name="trial_running_heartbeat"
            ),
            models.Index(
                fields=("finished_at",), condition=Q(findings_due=True), name="trial_findings_due"
            ),
            models.Index(fields=("id",), condition=Q(metrics_due=True), name="trial_metrics_due"),
            # Tables count and order by it alone, without reading rows.
            models.Index(
                fields=("study", "value", "state", "number", "archived_at"), name="trial_by_score"
            ),
        )

    def __str__(self) -> str:
        return f"{self.study_id}/{self.number}"
