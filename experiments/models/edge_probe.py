"""A probe beyond edges of a search space: paired runs beside the search."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.models.experiment import Experiment


class EdgeProbe(models.Model):
    """Edges of one search that are probed together, and the configurations that are moved.

    Its trials stand in studies of their own, which no sampler and no counter of the search reads.
    """

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        CANCELLED = "cancelled"

    experiment = models.ForeignKey(Experiment, models.CASCADE, related_name="edge_probes")
    state = models.CharField(max_length=9, choices=State, default=State.RUNNING)
    edges = models.TextField()  # JSON list of `analysis.space.edge_probe.ProbedEdge`
    moved = models.TextField()  # JSON list: ids of the search trials that are moved, best first
    looks = models.PositiveSmallIntegerField(default=0)  # that were queued
    root_seed = models.BigIntegerField()
    # Null: the experiment's file asked for it.
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("experiment",),
                condition=Q(state="running"),
                name="edge_probe_once_at_a_time",
            ),
        )

    def __str__(self) -> str:
        return f"edges of {self.experiment_id}"
