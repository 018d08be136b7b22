"""Several statements in one message to the database, and commits that do not wait for the disk.

Waiting (the default) are what ends a trial, hands out a number or an attempt, and what a person
did; see docs/decisions/0014-durable-commits.md for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

Statement = tuple[str, Sequence[Any]]

# Emptied by PostgreSQL whenever it recovers from a crash, and by nothing else.
INCARNATION = "(SELECT token::text FROM experiments_incarnation)"
_ASYNCHRONOUS = "SET LOCAL synchronous_commit = off"
_BORN = "INSERT INTO experiments_incarnation DEFAULT VALUES ON CONFLICT DO NOTHING"
# The experiment's row stays open to whoever locks it to write; it only may not go away.
_KEEP_EXPERIMENT = "SELECT 1 FROM experiments_experiment WHERE id = %s FOR KEY SHARE"
_LOCK_TRIAL = "SELECT 1 FROM experiments_trial WHERE id = %s FOR NO KEY UPDATE"
# Written to the log and flushed with all before it; sessions that wait at once share the flush.
FLUSH = "SELECT pg_logical_emit_message(true, 'verdict', '')"
_NORMAL = 1  # SQLite's PRAGMA synchronous: the log is written at a commit and synced later


def locking(*, trial_id: int, experiment_id: int | None = None) -> list[Statement]:
    """Statements that lock a trial before what hangs on it: the first ones of a transaction.

    Everybody locks the experiment, then the trial, then its summaries, points and findings.
    `experiment_id`: of a transaction that also writes rows that refer to the experiment, which
    takes a lock on it. Elsewhere than on PostgreSQL a transaction is alone, and there are none.
    """
    if connection.vendor != "postgresql":
        return []
    experiment = [] if experiment_id is None else [(_KEEP_EXPERIMENT, [experiment_id])]
    return [*experiment, (_LOCK_TRIAL, [trial_id])]


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


def execute_batch(*statements: Statement, waits: bool = True) -> tuple[Any, ...] | None:
    """Execute statements as one transaction; the first row of the last, None without one.

    `waits`: for the disk, at the commit.
    """
    if connection.vendor == "postgresql":
        if not waits and not connection.in_atomic_block:
            statements = ((_ASYNCHRONOUS, ()), *statements)
        with connection.cursor() as cursor:
            return _first(cursor, statements)
    with unsynced_file(waits), transaction.atomic(savepoint=False), connection.cursor() as cursor:
        return _first(cursor, statements)


def execute_asynchronously(text: str, values: Sequence[Any]) -> int:
    """Execute one statement whose commit does not wait; returns the number of rows changed."""
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        text = f"{_ASYNCHRONOUS}; {text}"
    with unsynced_file(), connection.cursor() as cursor:
        cursor.execute(text, values)
        return int(cursor.rowcount)


@contextmanager
def asynchronous_commit() -> Iterator[None]:
    """A transaction whose commit is seen by all at once and does not wait for the disk.

    A later commit that waits carries it along. Inside another transaction, that one decides.
    """
    if connection.in_atomic_block:
        yield
        return
    with unsynced_file(), transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(_ASYNCHRONOUS)
        yield


def wait_for_disk() -> None:
    """Wait until all that this connection committed is on PostgreSQL's disk.

    After a transaction that let go of its locks before that. Inside a transaction, its commit
    waits; elsewhere commits that did not wait are lost with whoever remembers them.
    """
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute(FLUSH)


def incarnation() -> str:
    """Token of the database that lasts until unsynced commits may have been lost.

    That is PostgreSQL's next recovery from a crash, which writers on other machines outlive.
    Whoever writes to SQLite is on the machine that crashes: always "".
    """
    if connection.vendor != "postgresql":
        return ""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {INCARNATION}")
        found = cursor.fetchone()[0]
        if found is None:
            cursor.execute(
                "INSERT INTO experiments_incarnation DEFAULT VALUES ON CONFLICT DO NOTHING"
            )
            cursor.execute(f"SELECT {INCARNATION}")
            found = cursor.fetchone()[0]
    return str(found)


@contextmanager
def unsynced_file(waits: bool = False) -> Iterator[None]:
    """On SQLite, commits of this connection reach the disk with the next one that waits.

    For processes on the file's machine alone, which do not outlive what a power cut takes.
    """
    if waits or connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    connection.ensure_connection()
    file = connection.connection
    (before,) = file.execute("PRAGMA synchronous").fetchone()
    if before <= _NORMAL:
        yield
        return
    file.execute(f"PRAGMA synchronous = {_NORMAL}")
    try:
        yield
    finally:
        file.execute(f"PRAGMA synchronous = {before}")


def _first(cursor: CursorWrapper, statements: Sequence[Statement]) -> tuple[Any, ...] | None:
    execute_pipeline(cursor, *statements)
    # All rows are taken: SQLite writes what a statement returns only as it is read.
    rows: list[tuple[Any, ...]] = cursor.fetchall() if cursor.description else []
    return rows[0] if rows else None
