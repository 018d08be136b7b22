"""Emptying the tables after a test that commits, although decisions may only be added."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test import TransactionTestCase

# As the migrations filled them, and nobody writes there.
KEPT = ("django_content_type", "auth_permission")


def allow_emptying(patch: pytest.MonkeyPatch) -> None:
    """Let Django empty the tables in this module's way."""
    patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: empty())


def empty() -> None:
    """Delete all rows, with the triggers that guard decisions set aside meanwhile.

    Django's own `flush` truncates on PostgreSQL, which makes new files for every table and index,
    and then writes all permissions anew: each takes longer than most tests.
    """
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    before, after = _around_emptying()
    deletions = [
        f"DELETE FROM {connection.ops.quote_name(table)}" for table in tables if table not in KEPT
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in (*before, *deletions, *after):
            cursor.execute(statement)


def _around_emptying() -> tuple[list[str], list[str]]:
    if connection.vendor == "postgresql":  # which sets foreign keys aside as well
        return ["SET LOCAL session_replication_role = replica"], []
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        triggers = cursor.fetchall()
    return [f'DROP TRIGGER "{name}"' for name, _ in triggers], [sql for _, sql in triggers]
