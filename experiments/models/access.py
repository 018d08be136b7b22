"""Tokens for programs, and the record of who opened the test scores."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.models.decision import Decision
from experiments.models.experiment import Experiment
from experiments.models.project import Project
from experiments.models.replication import Replication
from experiments.models.written_report import FrozenReport


class ApiToken(models.Model):
    """A program's key. Only its SHA-256 is stored; the text is shown once."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    project = models.ForeignKey(
        Project, models.CASCADE, null=True, blank=True, related_name="api_tokens"
    )
    name = models.CharField(max_length=100)
    scopes = models.CharField(max_length=100, default="read")  # space-separated: read, write
    prefix = models.CharField(max_length=12)  # to recognise it in a list
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


def _only(thing: str) -> Q:
    """A link shows this thing and no other."""
    things = ("experiment", "decision", "frozen_report")
    return Q(**{f"{name}__isnull": name != thing for name in things})


class SharedLink(models.Model):
    """A read-only address of one experiment, decision or frozen report for whoever has it.

    The address is the secret: only its SHA-256 is stored, and it is shown once.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="shared_links")
    experiment = models.ForeignKey(
        Experiment, models.CASCADE, null=True, blank=True, related_name="shared_links"
    )
    decision = models.ForeignKey(
        Decision, models.CASCADE, null=True, blank=True, related_name="shared_links"
    )
    frozen_report = models.ForeignKey(
        FrozenReport, models.CASCADE, null=True, blank=True, related_name="shared_links"
    )
    prefix = models.CharField(max_length=6)  # to recognise it in a list
    digest = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.CheckConstraint(
                condition=_only("experiment") | _only("decision") | _only("frozen_report"),
                name="shared_link_shows_one_thing",
            ),
        )

    def __str__(self) -> str:
        return f"{self.prefix}… of {self.project_id}"


class TestOpening(models.Model):
    """Somebody looked at the test scores of a replication. Each look counts."""

    __test__ = False  # not a test class

    replication = models.ForeignKey(Replication, models.PROTECT, related_name="test_openings")
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    opened_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("opened_at",)

    def __str__(self) -> str:
        return f"{self.opened_by_id} at {self.opened_at}"
