"""The request for an API token."""

from __future__ import annotations

import datetime as dt

from django import forms
from django.utils import timezone

LIFETIMES = {"30": "30 days", "90": "90 days", "365": "a year", "": "no end"}
SCOPES = {"read": "read", "write": "read and write", "decide": "read, write and decide"}


class TokenForm(forms.Form):
    """`project` is a slug; empty means every project of the person."""

    name = forms.CharField(max_length=100)
    project = forms.CharField(max_length=100, required=False)
    scope = forms.ChoiceField(choices=list(SCOPES.items()))
    lifetime = forms.ChoiceField(choices=list(LIFETIMES.items()), required=False)

    def scopes(self) -> tuple[str, ...]:
        """The scopes that the choice stands for."""
        every = tuple(SCOPES)
        return every[: every.index(self.cleaned_data["scope"]) + 1]

    def expires_at(self) -> dt.datetime | None:
        """Time at which it ends, None for never."""
        days = self.cleaned_data["lifetime"]
        return timezone.now() + dt.timedelta(days=int(days)) if days else None
