"""Patterns of SQL's LIKE, the same on every database, and of bounded cost."""

from __future__ import annotations

from typing import Any

from django.db.models import BooleanField, Func, Value
from django.db.models.expressions import Combinable

from experiments.trials.table.filter_language import InvalidFilter

MOST_WILDCARDS = 20


class Like(Func):
    """SQL's LIKE, case-sensitive on every database; ILIKE with `ignores_case`. A backslash stands
    for itself.
    """

    output_field = BooleanField()

    def __init__(self, text: Combinable, pattern: str, *, ignores_case: bool) -> None:
        super().__init__(text, Value(pattern))
        self.ignores_case = ignores_case

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        made, joiner = self.copy(), " ILIKE " if self.ignores_case else " LIKE "
        text, pattern = self.get_source_expressions()
        made.set_source_expressions([text, Value(pattern.value.replace("\\", "\\\\"))])
        template = "(%(expressions)s)"
        return made.as_sql(compiler, connection, template=template, arg_joiner=joiner, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        made, joiner = self.copy(), " LIKE "
        if not self.ignores_case:
            text, pattern = self.get_source_expressions()
            made.set_source_expressions([text, Value(_glob(pattern.value))])
            joiner = " GLOB "
        template = "(%(expressions)s)"
        return made.as_sql(compiler, connection, template=template, arg_joiner=joiner, **context)


def bounded_pattern(text: str) -> str:
    """A LIKE pattern whose cost is bounded."""
    while "%%" in text:
        text = text.replace("%%", "%")
    if text.count("%") > MOST_WILDCARDS:
        raise InvalidFilter(f"A pattern has more than {MOST_WILDCARDS} times %.")
    return text


def _glob(pattern: str) -> str:
    """The same pattern in the language of GLOB."""
    signs = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return "".join(signs.get(letter, letter) for letter in pattern)
