"""A foreign SQLite file, opened so that it can neither be written nor run anything."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from experiments.tracking.imports.foreign_runs import UnreadableSource

MAX_VALUE_BYTES = 64 * 2**20
_MAGIC = b"SQLite format 3\0"
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}


def open_readonly(path: Path) -> sqlite3.Connection:
    """A connection that only reads plain tables; text that is no UTF-8 is mended.

    Functions and virtual tables that a hostile schema might name in views, defaults or indexes
    are not trusted, and statements that do more than select are refused.

    Raises:
        UnreadableSource: when it is no SQLite file.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise UnreadableSource.at(
            str(path), "", f"It cannot be opened: {error.strerror}."
        ) from None
    if magic != _MAGIC:
        raise UnreadableSource.at(str(path), "", "This is no SQLite file.")
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.set_authorizer(_authorize)
    connection.text_factory = lambda content: content.decode("utf-8", "replace")
    return connection


def _authorize(
    action: int, _one: str | None, _two: str | None, _database: str | None, trigger: str | None
) -> int:
    allowed = action in _ALLOWED and trigger is None
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def tables(connection: sqlite3.Connection) -> set[str]:
    """Names of the file's own tables: no views, no virtual ones."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    return {name for name, sql in rows if not str(sql).upper().startswith("CREATE VIRTUAL")}
