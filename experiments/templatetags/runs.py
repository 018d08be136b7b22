"""Runs tables in templates."""

from __future__ import annotations

from django import template

register = template.Library()

_OPERATORS = {
    "=": "is",
    "!=": "is not",
    "<": "less than",
    "<=": "at most",
    ">": "more than",
    ">=": "at least",
    "LIKE": "is like (% for anything)",
    "ILIKE": "is like, any case",
    "IS NULL": "is missing",
    "IS NOT NULL": "is there",
}


@register.filter
def operator_words(operator: str) -> str:
    """An operator of the filter language in words."""
    return _OPERATORS.get(operator, operator)
