"""Measurements of a trial: series in flushes, reports to a pruner, sealed test scores."""

from __future__ import annotations

from django.db import models

from experiments.models.trial import Trial


class SeriesBatch(models.Model):
    """One flush of one attempt, or several joined: all their names in compressed columns.

    `payload` is written and read by `experiments.trials.series.series_encoding`. A row holds the
    flushes up to `batch`, `joined` of them.
    """

    trial = models.ForeignKey(Trial, models.CASCADE, related_name="series")
    attempt = models.PositiveSmallIntegerField()
    batch = models.PositiveIntegerField()
    joined = models.PositiveIntegerField(default=1)
    points = models.PositiveIntegerField()
    first_step = models.BigIntegerField()
    last_step = models.BigIntegerField()
    payload = models.BinaryField()
    # Arrived from an attempt that had been taken over: kept, marked, not drawn.
    fenced = models.BooleanField(default=False)
    written_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("trial", "attempt", "batch"), name="series_batch_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.trial_id}.{self.attempt}.{self.batch}"


class Report(models.Model):
    """An intermediate value of an unfinished trial (Optuna's `trial.report`).

    Packed into `Trial.reports` and deleted in the transaction that finishes the trial.
    """

    # No index of its own: the unique pair of trial and step serves.
    trial = models.ForeignKey(Trial, models.CASCADE, related_name="open_reports", db_index=False)
    step = models.BigIntegerField()
    value = models.FloatField(null=True)  # null: NaN, which SQLite cannot hold

    class Meta:
        constraints = (models.UniqueConstraint(fields=("trial", "step"), name="report_step_once"),)

    def __str__(self) -> str:
        return f"{self.trial_id}@{self.step}"


class SealedScore(models.Model):
    """A test score: written once, read only through a recorded opening."""

    trial = models.ForeignKey(Trial, models.CASCADE, related_name="sealed_scores")
    name = models.CharField(max_length=200)
    value = models.FloatField(null=True)  # null: not finite

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("trial", "name"), name="sealed_score_once"),
        )

    def __str__(self) -> str:
        return f"{self.trial_id} {self.name} (sealed)"
