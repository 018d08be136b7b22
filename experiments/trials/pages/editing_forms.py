"""Notes and tags of an experiment, and its name."""

from __future__ import annotations

from django import forms


class NotesForm(forms.Form):
    """Tags are words apart by commas."""

    notes = forms.CharField(required=False, max_length=100_000, strip=False)
    tags = forms.CharField(required=False, max_length=3_000)

    def clean_tags(self) -> list[str]:
        return [tag.strip() for tag in self.cleaned_data["tags"].split(",") if tag.strip()]


class NameForm(forms.Form):
    name = forms.CharField(max_length=200)
