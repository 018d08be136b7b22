"""Requests as views and the API receive them: with the person, or the token, that asks."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest

from experiments.models import ApiToken


class PersonRequest(HttpRequest):
    """A request of a person who is logged in."""

    user: User


class TokenRequest(HttpRequest):
    """A request of a program: its token stands for a person, in one project or all of theirs."""

    auth: ApiToken
