"""Retries while the database is unavailable: which errors are transient, and how to wait."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    ProgrammingError,
    close_old_connections,
    connections,
)

from experiments.database import missing_migrations

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

RETRY_SECONDS = 1.0
LONGEST_PAUSE = 15.0
_TICK = 0.2
_NEVER_BETTER = (DataError, IntegrityError, InternalError, NotSupportedError, ProgrammingError)


def is_away(error: BaseException) -> bool:
    """Test whether the database was gone or busy, so that the same statement may work later.

    A server that crashes in the middle of a statement shows as a bare `DatabaseError` (psycopg2
    knows no code for it), not as an `OperationalError`.
    """
    return isinstance(error, DatabaseError | InterfaceError) and not isinstance(
        error, _NEVER_BETTER
    )


def persistently(action: Callable[[], Result], *, give_up: threading.Event) -> Result:
    """Retry `action` while the database is away, until `give_up` is set."""
    while True:
        try:
            return action()
        except (DatabaseError, InterfaceError) as error:
            if not is_away(error):
                raise
            logger.warning("the database is away, trying again: %s", error)
            close_old_connections()
            if give_up.wait(RETRY_SECONDS):
                raise


def wait_until_ready(give_up: threading.Event) -> bool:
    """Wait until the database has all tables of this code, with growing pauses while it is
    away or nobody has migrated it, until `give_up` is set.

    For the main thread, in which a signal's handler may set `give_up`.
    """
    seconds = RETRY_SECONDS
    while not give_up.is_set():
        wanting = _missing()
        if not wanting:
            return True
        logger.warning("%s; trying again in %.0f s", wanting, seconds)
        pause(seconds, give_up)
        seconds = min(2 * seconds, LONGEST_PAUSE)
    return False


def pause(seconds: float, give_up: threading.Event) -> None:
    """Sleep, at most until `give_up` is set. An event that a signal's handler sets must not be
    waited for in its own thread: both would take its lock.
    """
    until = time.monotonic() + seconds
    while not give_up.is_set() and time.monotonic() < until:
        time.sleep(_TICK)


def _missing() -> str:
    try:
        missing, _ = missing_migrations()
    except (DatabaseError, InterfaceError) as error:
        if not is_away(error):
            raise
        return f"the database is away: {str(error).strip()}"
    finally:
        connections.close_all()
    if not missing:
        return ""
    return (
        f"the database lacks {len(missing)} migrations, the first is {' '.join(missing[0])}: "
        "run manage.py migrate"
    )
