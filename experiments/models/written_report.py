"""Reports that people write: their versions, and copies with figures as they were."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from experiments.models.project import Project


class WrittenReport(models.Model):
    """A report of a project; `version` is the number of its present version."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="written_reports")
    version = models.PositiveIntegerField(default=1)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"report {self.pk} of {self.project_id}"


class ReportVersion(models.Model):
    """A saved title and text, with its author and time. Only ever inserted."""

    report = models.ForeignKey(WrittenReport, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    title = models.CharField(max_length=200)
    text = models.TextField(blank=True)  # Markdown
    saved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    saved_by_name = models.CharField(max_length=150)  # as it was then
    saved_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=("report", "number"), name="report_version_once"),
        )

    def __str__(self) -> str:
        return f"{self.title} ({self.number})"


class FrozenReport(models.Model):
    """A version with its figures and tables as they were. Only ever inserted.

    `content` is compressed JSON (`experiments.reports.queries.frozen`), `digest` the SHA-256 of
    the JSON.
    """

    version = models.ForeignKey(ReportVersion, models.CASCADE, related_name="frozen")
    content = models.BinaryField()
    digest = models.CharField(max_length=64)
    frozen_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    frozen_by_name = models.CharField(max_length=150)  # as it was then
    frozen_at = models.DateTimeField()

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.digest[:12]} of {self.version_id}"
