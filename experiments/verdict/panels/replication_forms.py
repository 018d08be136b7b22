"""The declaration of a replication over seeds: what is compared and when it is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django import forms

from experiments.analysis.seeds.guards import BOUNDS, Limit
from experiments.analysis.seeds.looks import check_looks

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
}
MOST_GUARDS_ASKED = 3
MOST_PAIRS = 1000


class ReplicationForm(forms.Form):
    """`baseline` is left out where the project's champion is the baseline.

    Further candidates (`further`) and guards (`guard_metric`, `guard_bound`, `guard_limit`) come
    any number of times.
    """

    candidate = forms.IntegerField(min_value=1)
    baseline = forms.IntegerField(min_value=1, required=False)
    looks = forms.CharField(max_length=200)
    margin = forms.FloatField(min_value=0, required=False)
    score_rule = forms.ChoiceField(choices=list(SCORE_RULES.items()))

    def clean_looks(self) -> Sequence[int]:
        """Increasing numbers of pairs, separated by commas or spaces."""
        return _looks(self.cleaned_data["looks"])

    def clean(self) -> dict[str, Any]:
        """Add `further` (ids of trials) and `guards`."""
        cleaned: dict[str, Any] = super().clean() or {}
        further = self.further
        if any(not text.isdecimal() or len(text) > 18 for text in further):
            self.add_error("candidate", "Further candidates must be trials of this search.")
            further = []
        cleaned["further"] = tuple(int(text) for text in further)
        cleaned["guards"] = tuple(guard for guard in map(self._guard, self.guard_rows) if guard)
        return cleaned

    @property
    def further(self) -> list[str]:
        """Ids of further candidates as they were ticked."""
        return self._texts("further")

    @property
    def guard_rows(self) -> list[tuple[str, str, str]]:
        """(metric, bound, limit) as they were typed, with empty rows to fill."""
        parts = (self._texts(f"guard_{part}") for part in ("metric", "bound", "limit"))
        rows = [row for row in zip(*parts, strict=False) if row[0].strip() or row[2].strip()]
        blanks = max(1, MOST_GUARDS_ASKED - len(rows))
        return rows + [("", "at most", "")] * blanks

    def _texts(self, name: str) -> list[str]:
        found = self.data.getlist(name) if hasattr(self.data, "getlist") else []
        return [str(text) for text in found]

    def _guard(self, row: tuple[str, str, str]) -> Limit | None:
        metric, bound, text = row[0].strip(), row[1], row[2].strip()
        if not metric and not text:
            return None
        try:
            if not metric or len(metric) > 200:
                raise ValueError
            return Limit(metric, next(known for known in BOUNDS if known == bound), float(text))
        except (ValueError, StopIteration):
            wrong = f"Guard {metric or '?'}: enter a metric and a finite number as its limit."
            self.add_error(None, wrong)
            return None

    def reasons(self) -> list[tuple[str, str]]:
        """(field, what is wrong) of everything that is."""
        return _reasons(self)


class RetrospectiveForm(forms.Form):
    """Two configurations, by id, whose existing runs are compared."""

    candidate = forms.IntegerField(min_value=1, max_value=2**63 - 1)
    baseline = forms.IntegerField(min_value=1, max_value=2**63 - 1)
    margin = forms.FloatField(min_value=0, required=False)

    def reasons(self) -> list[tuple[str, str]]:
        """(field, what is wrong) of everything that is."""
        return _reasons(self)


class TaggedRunsForm(forms.Form):
    """Two tags, as `NAME=VALUE`, whose existing runs are compared."""

    candidate = forms.CharField(max_length=400)
    baseline = forms.CharField(max_length=400)
    margin = forms.FloatField(min_value=0, required=False)

    def reasons(self) -> list[tuple[str, str]]:
        """(field, what is wrong) of everything that is."""
        return _reasons(self)


class PowerForm(forms.Form):
    """A schedule whose power is asked for before anything is queued."""

    looks = forms.CharField(max_length=200)
    margin = forms.FloatField(min_value=0, required=False)
    candidates = forms.IntegerField(min_value=1, max_value=10, required=False)

    def clean_looks(self) -> Sequence[int]:
        """Numbers of pairs that can be a schedule."""
        counts = _looks(self.cleaned_data["looks"])
        try:
            check_looks(counts)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None
        if counts[-1] > MOST_PAIRS:
            raise forms.ValidationError(f"Use at most {MOST_PAIRS} pairs.")
        return counts

    def reasons(self) -> list[tuple[str, str]]:
        """(field, what is wrong) of everything that is."""
        return _reasons(self)


def _looks(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.replace(",", " ").split())
    except ValueError:
        raise forms.ValidationError(
            "Enter numbers of pairs, such as 10, 20, 30.", code="looks"
        ) from None


def _reasons(form: forms.Form) -> list[tuple[str, str]]:
    return [
        ("guards" if name == "__all__" else name, str(error))
        for name, errors in form.errors.items()
        for error in _messages(errors)
    ]


def _messages(errors: Iterable[object]) -> list[str]:
    return [str(error) for error in errors]
