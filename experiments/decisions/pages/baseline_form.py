"""A baseline that is known from before Verdict, as a person enters it."""

from __future__ import annotations

import math
import re
from typing import Any

from django import forms

from experiments.design.document import experiment_yaml
from experiments.errors import Problem

MOST_SCORES = 1000


class KnownBaselineForm(forms.Form):
    """Scores one for each seed, in any spacing; parameters as YAML or JSON."""

    objective = forms.CharField(max_length=300)
    parameters = forms.CharField(max_length=50_000)
    commit = forms.CharField(max_length=64, required=False)
    data_name = forms.CharField(max_length=200, required=False)
    data_version = forms.CharField(max_length=200, required=False)
    scores = forms.CharField(max_length=50_000)
    source = forms.CharField(max_length=1000)
    chance = forms.FloatField(required=False)
    reason = forms.CharField(max_length=10_000)

    def clean_parameters(self) -> dict[str, Any]:
        problems: list[Problem] = []
        found = experiment_yaml.load(self.cleaned_data["parameters"], problems)
        if problems:
            raise forms.ValidationError(str(problems[0]))
        if not isinstance(found, dict):
            raise forms.ValidationError(
                "Enter a mapping of names to values, such as learning_rate: 0.1."
            )
        return found

    def clean_scores(self) -> list[float]:
        words = [word for word in re.split(r"[\s,;]+", self.cleaned_data["scores"]) if word]
        scores = []
        for word in words[: MOST_SCORES + 1]:
            try:
                score = float(word)
            except ValueError:
                raise forms.ValidationError(f"{word[:40]!r} is no number.") from None
            if not math.isfinite(score):
                raise forms.ValidationError(f"{word} is not finite: leave failed runs out.")
            scores.append(score)
        return scores

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        parts = (("name", cleaned.get("data_name")), ("version", cleaned.get("data_version")))
        cleaned["data"] = {key: value for key, value in parts if value}
        return cleaned

    def reasons(self) -> list[Problem]:
        """Errors, each with its field."""
        return [
            Problem(field, str(error)) for field, errors in self.errors.items() for error in errors
        ]
