"""Tokens for programs, and the record of who opened the test scores."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from experiments.models.project import Project
from experiments.models.replication import Replication


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
