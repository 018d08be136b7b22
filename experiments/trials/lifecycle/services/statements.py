"""Several statements in one message to the database, where it takes them so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

Statement = tuple[str, Sequence[Any]]


def execute_pipeline(cursor: CursorWrapper, *statements: Statement) -> None:
    """Execute statements in their order; the cursor then holds what the last one gave.

    PostgreSQL gets them in one message, and outside a transaction runs them as one; each sees
    what was committed when it began, so that one behind a lock sees all that was written under
    it. Elsewhere the caller opens the transaction.
    """
    if connection.vendor == "postgresql":
        cursor.execute(
            "; ".join(text for text, _ in statements),
            [value for _, values in statements for value in values],
        )
        return
    for text, values in statements:
        cursor.execute(text, values)


def execute_batch(*statements: Statement) -> tuple[Any, ...] | None:
    """Execute statements as one transaction; the first row of the last, None without one."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            return _first(cursor, statements)
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        return _first(cursor, statements)


def _first(cursor: CursorWrapper, statements: Sequence[Statement]) -> tuple[Any, ...] | None:
    execute_pipeline(cursor, *statements)
    # All rows are taken: SQLite writes what a statement returns only as it is read.
    rows: list[tuple[Any, ...]] = cursor.fetchall() if cursor.description else []
    return rows[0] if rows else None
