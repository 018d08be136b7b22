"""The declaration of a repetition over seeds: what is compared and when it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

PRESETS = {
    "10, 20, 30": "10, 20, 30 pairs",
    "5, 10, 15, 20": "5, 10, 15, 20 pairs",
    "3, 5, 10": "3, 5, 10 pairs",
    "10": "10 pairs, one look",
    "5": "5 pairs, one look",
    "3": "3 pairs, one look",
}
SCORE_RULES = {
    "tail_median": "median of the last fifth of its evaluations",
    "last": "last evaluation",
    "best": "best evaluation (favours the noisier side)",
}


class RepetitionForm(forms.Form):
    """`baseline` is left out where the project's champion is the baseline."""

    candidate = forms.IntegerField(min_value=1)
    baseline = forms.IntegerField(min_value=1, required=False)
    looks = forms.CharField(max_length=200)
    margin = forms.FloatField(min_value=0, required=False)
    score_rule = forms.ChoiceField(choices=list(SCORE_RULES.items()))

    def clean_looks(self) -> Sequence[int]:
        """Increasing numbers of pairs, separated by commas or spaces."""
        text = self.cleaned_data["looks"].replace(",", " ")
        try:
            return tuple(int(word) for word in text.split())
        except ValueError:
            raise forms.ValidationError(
                "Want numbers of pairs such as 10, 20, 30.", code="looks"
            ) from None

    def reasons(self) -> list[tuple[str, str]]:
        """(field, what is wrong) of everything that is."""
        return [
            (name, str(error)) for name, errors in self.errors.items() for error in _texts(errors)
        ]


def _texts(errors: Any) -> list[str]:
    return [str(each) for each in errors]
