"""Django's SQLite with connections that are kept between requests."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Any

from django.db.backends.sqlite3 import base

from config.kept_connections import Pile


def _end(connection: Any) -> None:
    with suppress(sqlite3.Error):
        connection.close()


_PILES: dict[str, Pile[Any]] = {}


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        kept = self._pile().take()
        return kept if kept is not None else super().get_new_connection(conn_params)

    def _close(self) -> None:
        connection = self.connection
        if connection is None:
            return
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.rollback()
            if not self.errors_occurred:
                self._pile().put(connection)
                return
        _end(connection)

    def _pile(self) -> Pile[Any]:
        name = str(self.settings_dict["NAME"])
        return _PILES.setdefault(name, Pile(lambda connection: True, _end))
