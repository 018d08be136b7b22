"""Projects, who belongs to them, and the configurations they compare."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

SLUG = r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?"
SLUG_WORDS = "use lowercase letters, digits, - and _ only, a letter or digit at both ends"


class Direction(models.TextChoices):
    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class Role(models.TextChoices):
    """Role of a member; each role includes the ones before it."""

    VIEWER = "viewer"
    EDITOR = "editor"
    APPROVER = "approver"
    ADMIN = "admin"


class Reviews(models.TextChoices):
    """Decisions that a second approver confirms before they are recorded."""

    NONE = "none"
    OVERRIDES = "overrides"  # those against the verdict, or an adopt while it is undecided
    ADOPTS = "adopts"  # overrides and every adopt


def only_production() -> list[str]:
    """Targets of a project until somebody names others."""
    return ["production"]


class Project(models.Model):
    """A model that a team tunes: one official metric, one champion per target."""

    slug = models.SlugField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    official_metric = models.CharField(max_length=200)
    direction = models.CharField(max_length=8, choices=Direction)
    # Both in the official metric's unit; defaults for the project's experiments.
    margin = models.FloatField(default=0.0)
    smallest_gain = models.FloatField(null=True, blank=True)
    # Where champions run: production, staging, a device. Each has a champion of its own.
    targets = models.JSONField(default=only_production)
    # Whether scores on the test split stay unread until somebody opens them for a replication.
    seals_test = models.BooleanField(default=True, db_default=True)
    reviews = models.CharField(
        max_length=9, choices=Reviews, default=Reviews.NONE, db_default=Reviews.NONE
    )
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("slug",)
        constraints = (
            models.CheckConstraint(condition=Q(margin__gte=0), name="project_margin_not_negative"),
            models.CheckConstraint(
                condition=Q(smallest_gain__isnull=True) | Q(smallest_gain__gt=0),
                name="project_smallest_gain_positive",
            ),
            models.CheckConstraint(
                condition=Q(direction__in=Direction.values), name="project_direction_known"
            ),
            models.CheckConstraint(
                condition=Q(reviews__in=Reviews.values), name="project_reviews_known"
            ),
        )

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    """One person's role in one project."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("user", "project"), name="membership_once"),
            models.CheckConstraint(
                condition=Q(role__in=Role.values), name="membership_role_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} of {self.project_id}"


class ProjectChange(models.Model):
    """An admin's change of a project: members, settings, links, archive. Only ever inserted."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="changes")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    made_by_name = models.CharField(max_length=150)  # as it was then
    made_at = models.DateTimeField(auto_now_add=True)
    text = models.CharField(max_length=1000)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.made_by_name}: {self.text}"


class Configuration(models.Model):
    """Identity of a training: objective, all parameters, schedule, code and data.

    `document` is canonical JSON (`experiments.design.configuration`), `digest` its SHA-256.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="configurations")
    digest = models.CharField(max_length=64)
    document = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("project", "digest"), name="configuration_once"),
        )

    def __str__(self) -> str:
        return self.digest[:12]
