from __future__ import annotations

import pytest
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)

from workers.delivery.database_away import is_away


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError, DatabaseError])
def test_a_server_that_is_gone_is_waited_for(kind: type[Exception]) -> None:
    assert is_away(kind("server closed the connection unexpectedly"))


@pytest.mark.parametrize("kind", [DataError, IntegrityError, ProgrammingError, ValueError])
def test_what_time_does_not_heal_is_not(kind: type[Exception]) -> None:
    assert not is_away(kind("no"))
