"""As whom a command acts."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.management.base import CommandError


def person(name: str | None) -> User:
    """The active user of that name, or the first superuser.

    Raises:
        CommandError: when there is none.
    """
    users = User.objects.filter(is_active=True)
    found = users.filter(username=name) if name else users.filter(is_superuser=True)
    first = found.order_by("pk").first()
    if first is None:
        wanted = f"no active user is called {name}" if name else "there is no superuser"
        raise CommandError(f"{wanted}; make one with `manage.py createsuperuser`")
    return first
