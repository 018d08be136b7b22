"""A rule that looked at a trial or an experiment, and what it saw."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q

from experiments.models.experiment import Experiment
from experiments.models.trial import Trial

GRAVEST_FIRST = ("problem", "warning", "notice")
MUTED = "overfitting"  # the rule that `Experiment.mutes_overfitting` silences


class FindingQuerySet(models.QuerySet["Finding"]):
    def asking(self) -> FindingQuerySet:
        """Those that ask for something: fired, not dismissed, and not muted."""
        return self.filter(status="fired", dismissed_at__isnull=True).exclude(
            rule=MUTED, experiment__mutes_overfitting=True
        )

    def dismissed(self) -> FindingQuerySet:
        """Those that fired and ask for nothing: a person dismissed them, or they are muted."""
        muted = Q(rule=MUTED, experiment__mutes_overfitting=True)
        return self.filter(Q(dismissed_at__isnull=False) | muted, status="fired")

    def of_search(self) -> FindingQuerySet:
        """Open problems and warnings of search trials; notices stand with their trials."""
        return self.asking().filter(_of_search())

    def of_experiments(self) -> FindingQuerySet:
        """Open findings that experiments are asked about: their own and those of search trials."""
        return self.asking().filter(Q(trial__isnull=True) | _of_search())


def _of_search() -> Q:
    """Problems and warnings of search trials.

    A trial that diverged is not told of for its values that are no numbers, too.
    """
    diverged = Finding.objects.asking().filter(trial=OuterRef("trial"), rule="divergence")
    return (
        Q(trial__study__kind="search", trial__study__deleted_at__isnull=True)
        & Q(severity__in=GRAVEST_FIRST[:2])
        & ~(Q(rule="non_finite") & Q(Exists(diverged)))
    )


class Finding(models.Model):
    """The newest result of one rule on one subject. Written by workers, read by pages."""

    experiment = models.ForeignKey(Experiment, models.CASCADE, related_name="findings")
    trial = models.ForeignKey(
        Trial, models.CASCADE, null=True, blank=True, related_name="findings"
    )
    rule = models.CharField(max_length=60)
    subject = models.CharField(max_length=260, blank=True)
    version = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=13)  # fired, passed, not_checkable
    severity = models.CharField(max_length=7)  # notice, warning, problem
    title = models.CharField(max_length=600)
    detail = models.TextField(blank=True)
    meaning = models.TextField(blank=True)
    advice = models.TextField(blank=True)
    section = models.CharField(max_length=200, blank=True)
    action = models.CharField(max_length=40, blank=True)
    evidence = models.TextField(default="{}")
    found_at = models.DateTimeField(auto_now=True)
    dismissed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    dismissed_at = models.DateTimeField(null=True, blank=True)
    dismiss_reason = models.TextField(blank=True)

    objects = FindingQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("experiment", "rule", "subject"),
                condition=Q(trial__isnull=True),
                name="finding_of_experiment_once",
            ),
            models.UniqueConstraint(
                fields=("trial", "rule", "subject"),
                condition=Q(trial__isnull=False),
                name="finding_of_trial_once",
            ),
            models.CheckConstraint(
                condition=Q(dismissed_at__isnull=True) | ~Q(dismiss_reason=""),
                name="finding_dismissed_with_a_reason",
            ),
        )
        indexes = (models.Index(fields=("experiment", "status"), name="finding_by_status"),)

    def __str__(self) -> str:
        return f"{self.rule} {self.status}"


class TrialReading(models.Model):
    """Summary of one trial's curves for rules across trials, made once when it finished."""

    trial = models.OneToOneField(
        Trial, models.CASCADE, primary_key=True, related_name="curve_reading"
    )
    document = models.TextField()  # JSON, see `experiments.analysis.curves.trial_reading`

    def __str__(self) -> str:
        return f"reading of trial {self.trial_id}"
