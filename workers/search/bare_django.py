"""Django for a process that only knows a database's URL: a notebook, an outside script.

Nothing of the server's settings is needed to read and write trials, so none is asked for, no
folder and no key is made, and the process keeps its time zone.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor

from experiments import database

# What our migrations build on; the same tables as the server's.
APPS = ("experiments", "django.contrib.auth", "django.contrib.contenttypes")
# How long nobody else may have got on with building the tables before we give up.
PATIENCE_SECONDS = 30.0

_parents: list[Any] = []  # connections of processes that we were forked from, never closed here


def connect(url: str | None) -> None:
    """Make sure that Django is set up and its database is the one of `url`.

    In a process where Django is set up, `url` must be None or name the same database. Elsewhere
    Django is set up for `url`, and a database without any tables gets them.

    Raises:
        ImproperlyConfigured: when there is no database to take, when Django is set up for
            another one or without Verdict, or when the database's tables are of another version.
    """
    if not _parents:
        _parents.append(None)
        os.register_at_fork(after_in_child=_forget_connection)
    if settings.configured or (url is None and "DJANGO_SETTINGS_MODULE" in os.environ):
        if not apps.ready:
            django.setup()
        _check(url)
        return
    if url is None:
        raise ImproperlyConfigured(
            "VerdictStorage needs a database's URL, such as postgresql://host/verdict, "
            "unless Django is set up for Verdict"
        )
    settings.configure(
        DATABASES={"default": database.of_url(url)},
        INSTALLED_APPS=APPS,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        TIME_ZONE="UTC",
        LOGGING_CONFIG=None,
    )
    django.setup()
    _migrate_if_empty()


def drop_broken_connection(error: Exception) -> None:
    """Let the next call connect again when the server is gone; raising is the caller's part."""
    if isinstance(error, DatabaseError | InterfaceError) and not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


def leave_thread() -> None:
    """Close this thread's connection, unless it is the main thread's, which is used again."""
    if threading.current_thread() is not threading.main_thread():
        connection.close()


def _forget_connection() -> None:
    """In a forked child: leave the parent's connection to the parent and open another."""
    _parents.append(connection.connection)
    connection.connection = None


def _check(url: str | None) -> None:
    if not apps.is_installed("experiments"):
        raise ImproperlyConfigured(
            "Django is set up without Verdict (no `experiments` in INSTALLED_APPS): "
            "use VerdictStorage in a process of its own"
        )
    if url is None:
        return
    wanted, held = database.of_url(url), connection.settings_dict
    names = ("ENGINE", "NAME", "HOST", "PORT")
    if any(str(wanted.get(name) or "") != str(held.get(name) or "") for name in names):
        raise ImproperlyConfigured(
            f"Django is set up for {_shown(held)} here; VerdictStorage cannot use "
            f"{_shown(wanted)} in the same process. Leave the URL out, or use another process"
        )


def _shown(held: dict[str, Any]) -> str:
    """Without user and password."""
    host = f"{held['HOST']}:{held['PORT']}/" if held.get("HOST") else ""
    return f"{held['ENGINE'].rsplit('.', 1)[-1]} {host}{held['NAME']}"


def _migrate_if_empty() -> None:
    """Build the tables of an empty database.

    Several processes may do so at once: what one has built fails in another, which looks again.
    """
    building, applied, since = False, -1, time.monotonic()
    while True:
        executor = MigrationExecutor(connection)
        if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return
        if len(executor.loader.applied_migrations) != applied:
            applied, since = len(executor.loader.applied_migrations), time.monotonic()
        building = building or applied == 0
        waited = time.monotonic() - since
        if waited > PATIENCE_SECONDS and not building:
            raise ImproperlyConfigured(
                "The database's tables are of another version: run `manage.py migrate` first"
            )
        try:
            if building:
                call_command("migrate", interactive=False, verbosity=0)
        except DatabaseError:
            if waited > PATIENCE_SECONDS:
                raise
        time.sleep(0.05)
