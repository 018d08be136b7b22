"""Items of JSON objects in text columns as expressions of a query."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import F, FloatField, Func, TextField
from django.db.models.functions import Coalesce

Compiled = tuple[str, tuple[str | int, ...]]  # SQL and its parameters


class JsonItem(Func):
    """An item of a JSON object in a text column as text: text as it is, anything else as the JSON
    it is stored as; null without one.
    """

    output_field = TextField()
    # Of SQLite, where a path cannot name every key and an item has to be looked for.
    by_path = "CASE json_type({0}) WHEN 'text' THEN json_extract({0}) ELSE NULLIF({1}, 'null') END"
    by_search = (
        "CASE type WHEN 'text' THEN atom WHEN 'null' THEN NULL WHEN 'true' THEN type "
        "WHEN 'false' THEN type ELSE COALESCE(json -> fullkey, CAST(value AS TEXT)) END"
    )
    postgresql = "({0} ->> {1})"

    def __init__(self, column: str, key: str) -> None:
        self.key = f"${key}" if key.startswith("$") else key  # as `trial_encoding` writes it
        super().__init__(F(column))

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Compiled:
        column, parameters = compiler.compile(self.source_expressions[0])
        written = json.dumps(self.key)
        if written != f'"{self.key}"' or not self.key:
            found = f"(SELECT {self.by_search} FROM json_each({column}) WHERE key = %s)"
            return found, (*parameters, self.key)
        places = [f"{column}, %s", f"{column} -> %s"]
        count = sum(self.by_path.count(f"{{{place}}}") for place in range(2))
        return self.by_path.format(*places), (*parameters, f"$.{written}") * count

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Compiled:
        column, parameters = compiler.compile(self.source_expressions[0])
        kind = "json" if self.postgresql == JsonItem.postgresql else "jsonb"
        return self.postgresql.format(f"({column})::{kind}", "%s"), (*parameters, self.key)


class JsonNumber(JsonItem):
    """An item that is a number, as one; null for a text, or without the item."""

    output_field = FloatField()  # type: ignore[assignment]
    by_path = "CASE WHEN json_type({0}) IN ('integer', 'real') THEN json_extract({0}) END"
    by_search = "CASE WHEN type IN ('integer', 'real') THEN atom END"
    postgresql = (
        "(SELECT CASE WHEN jsonb_typeof(item) = 'number' THEN (item #>> '{{}}')::float8 END "
        "FROM (SELECT {0} -> {1} AS item) AS items)"
    )


class JsonOrder(JsonItem):
    """An item to sort by: numbers by their size, before texts or after them."""

    by_path = "json_extract({0})"
    by_search = "atom"
    postgresql = "({0} -> {1})"


def parameter_item(kind: type[JsonItem], name: str) -> Coalesce:
    """A parameter: the trial's own, or the one that its arm fixes."""
    return Coalesce(kind("parameters", name), kind("study__arm", name))
