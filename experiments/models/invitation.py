"""Invitations to projects, and counters that throttle guessing."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.models.project import Project, Role


class Invitation(models.Model):
    """A link that makes whoever follows it a member, once.

    The link carries a signature made with a key outside the database, so that its rows alone
    open nothing.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=8, choices=Role)
    email = models.CharField(max_length=254, blank=True)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    # Used or withdrawn; either way the link is dead.
    ended_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.CheckConstraint(
                condition=Q(role__in=Role.values), name="invitation_role_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.role} of {self.project_id}"


class CountedAttempt(models.Model):
    """One attempt at something that may be guessed, such as a password.

    `subject` is a keyed digest of a user name or an address: people type passwords into the
    wrong field.
    """

    subject = models.CharField(max_length=64)
    at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = (models.Index(fields=("subject", "at"), name="counted_attempt_subject"),)

    def __str__(self) -> str:
        return f"{self.subject[:12]} at {self.at}"
