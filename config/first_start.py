"""First start of an empty installation: an admin and an example."""

from __future__ import annotations

import os
import secrets

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction

ADMIN = "admin"


def prepare() -> None:
    """Create the admin and the project ``digits`` with its experiment, if there is no user yet.

    Both or neither: an interrupted first start is repeated by the next one. The admin's generated
    password lies in a file of the data folder until somebody has signed in with it.
    """
    users = get_user_model()._default_manager
    if users.exists():
        return
    password = secrets.token_urlsafe(12)
    with transaction.atomic():
        users.create_superuser(username=ADMIN, email="", password=password)
        call_command("seed_digits", verbosity=0)
        settings.FIRST_PASSWORD.unlink(missing_ok=True)
        file = os.open(settings.FIRST_PASSWORD, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as opened:
            opened.write(password)


def unused_password() -> str | None:
    """The admin's generated password, while nobody has signed in with it or set another."""
    if not settings.FIRST_PASSWORD.exists():
        return None
    password = str(settings.FIRST_PASSWORD.read_text(encoding="ascii"))
    admin = get_user_model()._default_manager.filter(username=ADMIN, last_login=None).first()
    if admin is not None and admin.check_password(password):
        return password
    settings.FIRST_PASSWORD.unlink()
    return None
