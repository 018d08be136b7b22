"""Form of an experiment's limits: parallel trials, priority, budget."""

from __future__ import annotations

from django import forms

from experiments.web.form_refusals import SaysRefusals


class ControlForm(SaysRefusals):
    """Trials at a time, priority and trials per arm; a cap on GPU hours where GPUs are asked for.

    An empty cap is none.
    """

    parallel = forms.IntegerField(label="Trials at a time", min_value=1, max_value=1000)
    priority = forms.IntegerField(
        label="Priority",
        min_value=-1000,
        max_value=1000,
        help_text="The higher one goes first; equals take turns.",
    )
    per_arm = forms.IntegerField(label="Trials per arm", min_value=1, max_value=1_000_000)
    gpu_hours = forms.FloatField(
        label="At most GPU hours",
        required=False,
        min_value=0.01,
        help_text="No new trials start beyond it. Empty: no cap of its own.",
    )
