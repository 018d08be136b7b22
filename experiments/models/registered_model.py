"""The model registry: registered models of a project, and their versions."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from experiments.models.decision import Decision
from experiments.models.outside_run import LoggedModel
from experiments.models.project import Project
from experiments.models.trial import Trial


class RegisteredModel(models.Model):
    """A name for successive versions of a model. A target's alias `champion` is no alias of
    this row: it follows from the decision log.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="registered_models")
    name = models.CharField(max_length=256)
    description = models.TextField(blank=True)
    tags = models.TextField(default="{}")  # JSON: name to text
    aliases = models.TextField(default="{}")  # JSON: alias to the number of a version
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("project", "name"),
                condition=Q(deleted_at__isnull=True),
                name="registered_model_name_once",
            ),
        )

    def __str__(self) -> str:
        return self.name


class ModelVersion(models.Model):
    """A version of a registered model: files in a folder of a trial. `decision` is the adopt that
    made it, null for one that a program registered.
    """

    model = models.ForeignKey(RegisteredModel, models.CASCADE, related_name="versions")
    version = models.PositiveIntegerField()
    trial = models.ForeignKey(
        Trial, models.SET_NULL, null=True, blank=True, related_name="model_versions"
    )
    logged_model = models.ForeignKey(
        LoggedModel, models.SET_NULL, null=True, blank=True, related_name="versions"
    )
    folder = models.CharField(max_length=500)
    decision = models.OneToOneField(
        Decision, models.PROTECT, null=True, blank=True, related_name="model_version"
    )
    source = models.TextField()  # as the client named it
    registered_by = models.CharField(max_length=150)
    description = models.TextField(blank=True)
    tags = models.TextField(default="{}")  # JSON: name to text
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(fields=("model", "version"), name="model_version_once"),
        )

    def __str__(self) -> str:
        return f"{self.model} {self.version}"
