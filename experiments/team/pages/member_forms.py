"""Members, invitations, a project's settings and a new project, as a person types them.

The services say what is wrong with the words; here only their shape is read.
"""

from __future__ import annotations

import re
from typing import Any

from django import forms

from experiments.errors import Problem


class AddMemberForm(forms.Form):
    username = forms.CharField(max_length=150)
    role = forms.CharField(max_length=20)


class InviteForm(forms.Form):
    email = forms.CharField(max_length=254, required=False)
    role = forms.CharField(max_length=20)


class SettingsForm(forms.Form):
    """Targets apart by commas or spaces; no smallest gain means none was set."""

    name = forms.CharField(max_length=200)
    margin = forms.FloatField(min_value=0)
    smallest_gain = forms.FloatField(required=False)
    targets = forms.CharField(max_length=2000)
    reviews = forms.CharField(max_length=20, required=False)

    def clean_reviews(self) -> str:
        return self.cleaned_data["reviews"] or "none"

    def clean_targets(self) -> list[str]:
        return [word for word in re.split(r"[\s,]+", self.cleaned_data["targets"]) if word]


class NewProjectForm(forms.Form):
    slug = forms.CharField(max_length=100)
    name = forms.CharField(max_length=200)
    official_metric = forms.CharField(max_length=200)
    direction = forms.ChoiceField(choices=[("maximize", "maximize"), ("minimize", "minimize")])
    margin = forms.FloatField(min_value=0, required=False)
    smallest_gain = forms.FloatField(required=False)

    def clean_margin(self) -> float:
        return float(self.cleaned_data["margin"] or 0.0)


class JoinForm(forms.Form):
    """An account for the person who follows an invitation."""

    username = forms.CharField(max_length=150)
    email = forms.CharField(max_length=254, required=False)
    password = forms.CharField(max_length=4096, strip=False)
    again = forms.CharField(max_length=4096, strip=False)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("password") != cleaned.get("again") and "again" in cleaned:
            self.add_error("again", "The two passwords differ.")
        return cleaned


class AddressForm(forms.Form):
    """The present password, because mails with a new one go to the address."""

    email = forms.CharField(max_length=254, required=False)
    password = forms.CharField(max_length=4096, strip=False)


def blame(form: forms.Form, problems: tuple[Problem, ...], message: str) -> None:
    """Put what a service refused at the fields it names, or above the form."""
    for problem in problems:
        field = problem.where if problem.where in form.fields else None
        form.add_error(field, f"{problem.message[:1].upper()}{problem.message[1:]}.")
    if not problems:
        form.add_error(None, message)
