"""Worker nodes and the files that trials leave."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.models.experiment import Experiment
from experiments.models.project import Project
from experiments.models.step_field import StepField
from experiments.models.trial import Trial


class Worker(models.Model):
    """One worker process on one node; its trials are found by their foreign key."""

    name = models.CharField(max_length=200, unique=True)
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    queues = models.CharField(max_length=200)
    slots = models.PositiveSmallIntegerField(default=1)
    devices = models.CharField(max_length=400, blank=True)
    # JSON: the training functions that it can import (`design.document.objective_source`).
    offers = models.TextField(default="[]", db_default="[]")
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    # When it last did what one worker does for all.
    turn_at = models.DateTimeField(null=True, blank=True, db_index=True)
    stopped_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class Artifact(models.Model):
    """A file of a trial: where it lies in the folder of artifacts, how big it is, its SHA-256.

    `attempt` wrote it; `value` is the official metric's at a checkpoint, None when not finite.
    """

    trial = models.ForeignKey(Trial, models.CASCADE, related_name="artifacts")
    kind = models.CharField(max_length=20)  # checkpoint, output, file, image, ...
    name = models.CharField(max_length=300)
    path = models.CharField(max_length=1000)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    step = StepField(null=True, blank=True)
    attempt = models.PositiveIntegerField(null=True, blank=True)
    value = models.FloatField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("trial", "kind", "name"),
                condition=models.Q(step__isnull=True),
                name="artifact_once",
            ),
            models.UniqueConstraint(
                fields=("trial", "kind", "name", "step"), name="artifact_once_a_step"
            ),
        )

    def __str__(self) -> str:
        return self.name


class ProbeState(models.TextChoices):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class BatchSizeProbe(models.Model):
    """Speed of a training function with each batch size, measured on one device: on the
    command line, or by a worker after a person asked for it.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="batch_size_probes")
    experiment = models.ForeignKey(
        Experiment, models.SET_NULL, null=True, blank=True, related_name="batch_size_probes"
    )
    state = models.CharField(
        max_length=9, choices=ProbeState, default=ProbeState.DONE, db_default=ProbeState.DONE
    )
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    queue = models.CharField(max_length=100, blank=True, db_default="")
    gpus = models.PositiveSmallIntegerField(default=0, db_default=0)
    options = models.TextField(default="{}", db_default="{}")  # JSON: sizes, steps, what to vary
    worker = models.ForeignKey(Worker, models.SET_NULL, null=True, blank=True, related_name="+")
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    is_to_end = models.BooleanField(default=False, db_default=False)
    finished_at = models.DateTimeField(null=True, blank=True)
    objective = models.CharField(max_length=300)
    parameters = models.TextField(default="{}")  # JSON, without the batch size
    device = models.CharField(max_length=400)
    host = models.CharField(max_length=200)
    rows = models.TextField(default="[]")  # JSON: what was measured at each size
    ended = models.TextField(blank=True)  # why it went no further
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("experiment",),
                condition=Q(state__in=("waiting", "running")),
                name="batch_size_probe_once_at_a_time",
            ),
        )
        indexes = (
            models.Index(
                fields=("queue",), condition=Q(state="waiting"), name="batch_size_probe_waiting"
            ),
        )

    def __str__(self) -> str:
        return f"{self.objective} on {self.device}"


class ObjectiveCheck(models.Model):
    """A worker's check of an objective before its experiment starts: its import, or, where
    `document` holds a file, one trial of it. Nothing of it belongs to any search.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="objective_checks")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="objective_checks"
    )
    state = models.CharField(max_length=9, choices=ProbeState, default=ProbeState.WAITING)
    objective = models.CharField(max_length=300)
    queue = models.CharField(max_length=100)
    gpus = models.PositiveSmallIntegerField(default=0)
    document = models.TextField(blank=True)  # the file in canonical JSON, "" for the import alone
    worker = models.ForeignKey(Worker, models.SET_NULL, null=True, blank=True, related_name="+")
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    is_to_end = models.BooleanField(default=False)
    answer = models.TextField(default="{}")  # JSON: what the worker found, or has found so far
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-pk")
        indexes = (
            models.Index(
                fields=("queue",), condition=Q(state="waiting"), name="objective_check_waiting"
            ),
        )

    def __str__(self) -> str:
        return self.objective
