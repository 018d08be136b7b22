"""Summary of each metric of a run, and facts that external programs log: data, models."""

from __future__ import annotations

from django.db import models

from experiments.models.trial import Trial


class LatestMetric(models.Model):
    """The point of a metric with the largest step (then time, then value), its extremes, and its
    value where the run was best: what tables show and filters read without decoding a series.

    Written with each flush of a run from outside, and when a trial of ours has ended.
    """

    # No index of its own: the unique pair of trial and name serves.
    trial = models.ForeignKey(Trial, models.CASCADE, related_name="latest_metrics", db_index=False)
    name = models.CharField(max_length=250)
    value = models.FloatField(null=True)  # null: NaN, which SQLite cannot hold
    step = models.BigIntegerField()
    time_ms = models.BigIntegerField()
    lowest = models.FloatField(null=True)  # null: no finite value
    highest = models.FloatField(null=True)
    at_best = models.FloatField(null=True)  # at the best step of the official metric; once ended

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("trial", "name"), name="latest_metric_once"),
        )

    def __str__(self) -> str:
        return f"{self.trial_id} {self.name}"


class RunDataset(models.Model):
    """A dataset that a run read. `source`, `schema` and `profile` are the program's own text."""

    trial = models.ForeignKey(Trial, models.CASCADE, related_name="datasets", db_index=False)
    name = models.CharField(max_length=500)
    digest = models.CharField(max_length=36)
    source_type = models.CharField(max_length=200, blank=True)
    source = models.TextField(blank=True)
    schema = models.TextField(blank=True)
    profile = models.TextField(blank=True)
    context = models.CharField(max_length=500, blank=True)  # training, evaluation
    tags = models.TextField(default="{}")  # JSON: name to value, the context among them

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(fields=("trial", "name", "digest"), name="run_dataset_once"),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.digest}"


class LoggedModel(models.Model):
    """A model that a program logged; its files are files of its run, below `models/<key>/`."""

    key = models.CharField(max_length=34, unique=True)  # "m-" and 32 hexadecimal digits
    trial = models.ForeignKey(Trial, models.CASCADE, related_name="logged_models")
    name = models.CharField(max_length=500)
    model_type = models.CharField(max_length=500, blank=True)
    status = models.CharField(max_length=40)  # LOGGED_MODEL_PENDING, _READY or _UPLOAD_FAILED
    step = models.BigIntegerField(default=0)
    params = models.TextField(default="{}")  # JSON: name to text
    tags = models.TextField(default="{}")  # JSON: name to text
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.name
