"""The request to measure batch sizes."""

from __future__ import annotations

from collections.abc import Sequence

from django import forms

from experiments.design.batch_size_plan import LARGEST, MOST_STEPS, ProbePlan
from experiments.web.form_refusals import SaysRefusals

_PLAN = ProbePlan()


class BatchSizeForm(SaysRefusals):
    """Function, name of its batch size, sizes to measure, and steps of each."""

    experiment = forms.ChoiceField(
        label="Training function of",
        help_text="Its first known-good configuration, else the middle of its search space.",
    )
    parameter = forms.CharField(
        label="Parameter that is the batch size", initial=_PLAN.parameter, max_length=100
    )
    first = forms.IntegerField(
        label="First size", initial=_PLAN.first, min_value=1, max_value=LARGEST
    )
    largest = forms.IntegerField(
        label="Largest size", initial=_PLAN.largest, min_value=1, max_value=LARGEST
    )
    steps = forms.IntegerField(
        label="Steps timed at each size",
        initial=_PLAN.steps,
        min_value=3,
        max_value=MOST_STEPS,
    )

    def __init__(self, *args: object, names: Sequence[str], **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        self.label_suffix = ""
        field = self.fields["experiment"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(name, name) for name in names]
