"""Django's PostgreSQL with connections that are kept between requests."""

from __future__ import annotations

import select
from contextlib import suppress
from typing import Any

import psycopg2
from django.db.backends.postgresql import base
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from config.kept_connections import Pile


def _is_sound(connection: Any) -> bool:
    """An idle server has nothing to say: what can be read is its goodbye."""
    try:
        return not connection.closed and not select.select([connection.fileno()], [], [], 0)[0]
    except (OSError, ValueError, psycopg2.Error):
        return False


def _end(connection: Any) -> None:
    with suppress(psycopg2.Error):
        connection.close()


_PILES: dict[str, Pile[Any]] = {}


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        kept = self._pile(conn_params).take()
        return kept if kept is not None else super().get_new_connection(conn_params)

    def _close(self) -> None:
        connection = self.connection
        if connection is None:
            return
        if self.errors_occurred or connection.closed:
            _end(connection)
            return
        with suppress(psycopg2.Error):
            if connection.get_transaction_status() != TRANSACTION_STATUS_IDLE:
                connection.rollback()
            self._pile(self.get_connection_params()).put(connection)
            return
        _end(connection)

    def _pile(self, params: dict[str, Any]) -> Pile[Any]:
        return _PILES.setdefault(repr(sorted(params.items(), key=str)), Pile(_is_sound, _end))
