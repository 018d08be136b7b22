"""Emptying the tables after a test that commits, although decisions may only be added."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from django.db import connection


def allow_emptying(patch: pytest.MonkeyPatch) -> None:
    """Set the triggers that guard decisions aside while Django empties all tables."""
    operations = type(connection.ops)
    original = operations.execute_sql_flush

    def execute_sql_flush(self: Any, statements: Iterable[str]) -> None:
        before, after = _around_emptying()
        original(self, [*before, *statements, *after])  # in one transaction

    patch.setattr(operations, "execute_sql_flush", execute_sql_flush)


def _around_emptying() -> tuple[list[str], list[str]]:
    if connection.vendor == "postgresql":
        return ["SET LOCAL session_replication_role = replica"], []
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        triggers = cursor.fetchall()
    return [f'DROP TRIGGER "{name}"' for name, _ in triggers], [sql for _, sql in triggers]
