"""Items of JSON objects in text columns as expressions of a query."""

from __future__ import annotations

import math
import re
from typing import Any

from django.db.models import F, FloatField, Func, TextField, Value
from django.db.models.functions import Coalesce


class JsonItem(Func):
    """An item of a JSON object in a text column: text as it is, a number as SQLite's number or
    PostgreSQL's text of it; null without one.
    """

    output_field = TextField()

    def __init__(self, column: str, key: str) -> None:
        stored = f"${key}" if key.startswith("$") else key  # as `trial_encoding` writes it
        super().__init__(F(column), Value(stored))

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "(SELECT atom FROM json_each(%(expressions)s))"
        return self.as_sql(
            compiler, connection, template=template, arg_joiner=") WHERE key = (", **context
        )

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "((%(expressions)s))"
        return self.as_sql(
            compiler, connection, template=template, arg_joiner=")::json ->> (", **context
        )


class JsonNumber(JsonItem):
    """An item that is a number, as one; null for a text, or without the item."""

    output_field = FloatField()  # type: ignore[assignment]

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = (
            "(SELECT CAST(atom AS REAL) FROM json_each(%(expressions)s) "
            "AND type IN ('integer', 'real'))"
        )
        return self.as_sql(
            compiler, connection, template=template, arg_joiner=") WHERE key = (", **context
        )

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = (
            "(SELECT CASE WHEN jsonb_typeof(item) = 'number' THEN (item #>> '{}')::float8 END "
            "FROM (SELECT (%(expressions)s) AS item) AS items)"
        )
        return self.as_sql(
            compiler, connection, template=template, arg_joiner=")::jsonb -> (", **context
        )


class JsonOrder(JsonItem):
    """An item to sort by: numbers by their size, before texts or after them."""

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "((%(expressions)s))"
        return self.as_sql(
            compiler, connection, template=template, arg_joiner=")::jsonb -> (", **context
        )


def parameter_item(kind: type[JsonItem], name: str) -> Coalesce:
    """A parameter: the trial's own, or the one that its arm fixes."""
    return Coalesce(kind("parameters", name), kind("study__arm", name))


class JsonConstant(Value):
    """A text as `JsonItem` gives it: on SQLite a number where it would be stored as one."""

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        number = number_of(self.value)
        return super().as_sql(compiler, connection) if number is None else ("%s", [number])


def number_of(text: str) -> float | int | None:
    """The number that a parameter's text is stored as; None where its text would be lost."""
    if re.fullmatch(r"-?\d{1,16}", text):
        whole = int(text)
        return whole if str(whole) == text and abs(whole) < 2**53 else None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and repr(number) == text else None
