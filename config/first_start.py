"""First start of an empty installation: an admin and an example."""

from __future__ import annotations

import secrets

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction

ADMIN = "admin"


def prepare() -> str | None:
    """Create the admin and the project ``digits`` with its experiment, if there is no user yet.

    Both or neither: an interrupted first start is repeated by the next one.

    Returns:
        The admin's generated password, or None when this was not a first start.
    """
    users = get_user_model()._default_manager
    if users.exists():
        return None
    password = secrets.token_urlsafe(12)
    with transaction.atomic():
        users.create_superuser(username=ADMIN, email="", password=password)
        call_command("seed_digits", verbosity=0)
    return password
