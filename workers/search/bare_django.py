"""Django for a process that only knows a database's URL: a notebook, an outside script.

Nothing of the server's settings is needed to read and write trials, so none is asked for, no
folder and no key is made, and the process keeps its time zone.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from weakref import WeakSet

import django
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError, InterfaceError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import load_backend

from experiments import database

# What our migrations build on; the same tables as the server's.
APPS = ("experiments", "django.contrib.auth", "django.contrib.contenttypes")
# How long nobody else may have got on with building the tables before we give up.
PATIENCE_SECONDS = 30.0

_parents: list[Any] = []  # connections of processes that we were forked from, never closed here


class OtherDatabase:
    """A Verdict database beside the one that Django is set up for.

    Services know one database. Inside `with` this one takes its place, for the thread that
    entered; each thread has a connection of its own to it.
    """

    def __init__(self, url: str) -> None:
        self._settings = connections.configure_settings({"default": database.of_url(url)})
        self._of_thread = threading.local()
        _others.add(self)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        before, ours = connections["default"], self._connection()
        connections["default"] = ours
        try:
            yield
        finally:
            connections["default"] = before

    def forget(self) -> None:
        """In a forked child; see `_forget_connection`."""
        connection_of_thread = getattr(self._of_thread, "connection", None)
        if connection_of_thread is not None:
            _parents.append(connection_of_thread)
            del self._of_thread.connection

    def _connection(self) -> BaseDatabaseWrapper:
        opened = getattr(self._of_thread, "connection", None)
        if opened is None:
            backend = load_backend(self._settings["default"]["ENGINE"])
            opened = backend.DatabaseWrapper(self._settings["default"], alias="default")
            self._of_thread.connection = opened
        return opened  # type: ignore[no-any-return]


_others: WeakSet[OtherDatabase] = WeakSet()


def connect(url: str | None) -> Callable[[], AbstractContextManager[None]]:
    """Set Django up where nobody has, for the database of `url`; an empty one gets its tables.

    Returns:
        What makes that database the one that services use, for the length of a `with` block.

    Raises:
        ImproperlyConfigured: when there is no database to take, when Django is set up without
            Verdict, or when the database's tables are of another version.
    """
    if not _parents:
        _parents.append(None)
        os.register_at_fork(after_in_child=_forget_connection)
    if settings.configured or (url is None and "DJANGO_SETTINGS_MODULE" in os.environ):
        if not apps.ready:
            django.setup()
        if not apps.is_installed("experiments"):
            raise ImproperlyConfigured(
                "Django is set up without Verdict (no `experiments` in INSTALLED_APPS): "
                "use VerdictStorage in a process of its own"
            )
        if url is None or _is_ours(url):
            return nullcontext
        other = OtherDatabase(url)
        with other():
            _migrate_if_empty()
        return other
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
    return nullcontext


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
    for other in _others:
        other.forget()


def _is_ours(url: str) -> bool:
    """Test whether Django is set up for the database of `url`."""
    wanted, current = database.of_url(url), connection.settings_dict
    names = ("ENGINE", "NAME", "HOST", "PORT")
    return all(str(wanted.get(name) or "") == str(current.get(name) or "") for name in names)


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
