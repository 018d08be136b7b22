"""A named view of a project's runs table."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.models.project import Project


class RunsView(models.Model):
    """The state of a runs table under a name: a person's own, or the project's."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="runs_views")
    # Null: the project's.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+"
    )
    name = models.CharField(max_length=100)
    query = models.TextField(blank=True)  # as in an address, see `trials.table.runs_state`
    is_default = models.BooleanField(default=False)
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=("project", "name"),
                condition=Q(owner__isnull=True),
                name="runs_view_of_project_once",
            ),
            models.UniqueConstraint(
                fields=("project", "owner", "name"),
                condition=Q(owner__isnull=False),
                name="runs_view_of_person_once",
            ),
            models.UniqueConstraint(
                fields=("project",), condition=Q(is_default=True), name="runs_view_default_once"
            ),
            models.CheckConstraint(
                condition=Q(is_default=False) | Q(owner__isnull=True),
                name="runs_view_default_is_the_projects",
            ),
        )

    def __str__(self) -> str:
        return self.name
