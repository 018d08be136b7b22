"""Which errors of the database pass by themselves."""

from __future__ import annotations

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    ProgrammingError,
)

_NEVER_BETTER = (DataError, IntegrityError, InternalError, NotSupportedError, ProgrammingError)


def is_away(error: BaseException) -> bool:
    """Whether the database was gone or busy, so that the same statement may work later.

    A server that crashes in the middle of a statement shows as a bare `DatabaseError` (psycopg2
    knows no code for it), not as an `OperationalError`.
    """
    return isinstance(error, DatabaseError | InterfaceError) and not isinstance(
        error, _NEVER_BETTER
    )
