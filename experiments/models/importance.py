"""Importance of each hyperparameter, as workers computed it last."""

from __future__ import annotations

from django.db import models

from experiments.models.experiment import Experiment


class ParameterImportance(models.Model):
    """The newest computation; older than the experiment's last trials when `trials` is smaller."""

    experiment = models.OneToOneField(Experiment, models.CASCADE, related_name="importance")
    method = models.CharField(max_length=40)
    trials = models.PositiveIntegerField()  # complete search trials that it read
    # JSON: name to [share in the whole space, share within the better half], each 0..1.
    shares = models.TextField(default="{}")
    computed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.method} of {self.trials} trials"
