from __future__ import annotations

import datetime as dt

from django.utils import timezone

from experiments.team.pages.tokens import TokenForm


def test_a_token_ends_when_it_was_asked_to() -> None:
    form = TokenForm({"name": "deploy", "scope": "read", "lifetime": "30"})
    assert form.is_valid()
    ends = form.expires_at()
    assert ends is not None
    assert dt.timedelta(days=29) < ends - timezone.now() <= dt.timedelta(days=30)
    assert form.scopes() == ("read",)


def test_a_token_may_be_without_end_and_write() -> None:
    form = TokenForm({"name": "logger", "scope": "write", "lifetime": ""})
    assert form.is_valid()
    assert form.expires_at() is None and form.scopes() == ("read", "write")
