"""Ranges of fields within a filter, as brushing an axis of parallel coordinates sets them.

A brush is `field >= low and field <= high`, or `field IN (...)` where an axis has words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from experiments.trials.table.filter_language import (
    Comparison,
    Condition,
    Field,
    InvalidFilter,
    all_of,
    condition_text,
    conjuncts,
    field_of,
    field_text,
)


@dataclass(frozen=True, slots=True)
class Brush:
    """Values from `low` to `high`, open where one is missing; else some of its `values`."""

    low: float = -math.inf
    high: float = math.inf
    values: tuple[str, ...] = ()

    def parts(self, field: Field) -> tuple[Condition, ...]:
        """Conditions that a filter holds for it; none of one that lets everything through."""
        if self.values:
            return (Comparison(field, "IN", self.values),)
        ends = ((">=", self.low), ("<=", self.high))
        return tuple(Comparison(field, sign, end) for sign, end in ends if math.isfinite(end))


def brush_of(low: str, high: str, values: Sequence[str]) -> Brush:
    """The brush of an address; ends that are no numbers are left open."""
    return Brush(_end(low, -math.inf), _end(high, math.inf), tuple(values))


def _end(text: str, otherwise: float) -> float:
    try:
        found = float(text)
    except ValueError:
        return otherwise
    return found if math.isfinite(found) else otherwise


def brushes_in(condition: Condition | None) -> dict[Field, Brush]:
    """The brushes of a filter by their fields."""
    found: dict[Field, Brush] = {}
    for part in conjuncts(condition):
        field = _brushed_field(part)
        if field is None or not isinstance(part, Comparison):
            continue
        brush = found.get(field, Brush())
        if isinstance(part.value, tuple):
            brush = Brush(values=tuple(str(value) for value in part.value))
        elif part.operator == ">=" and isinstance(part.value, float):
            brush = Brush(part.value, brush.high)
        elif isinstance(part.value, float):
            brush = Brush(brush.low, part.value)
        found[field] = brush
    return found


def brushed(condition: Condition | None, key: str, brush: Brush) -> Condition | None:
    """The filter with this brush in place of the field's former one.

    Raises:
        InvalidFilter: for a key that names no field.
    """
    field = field_of(key)
    if not field.name:
        raise InvalidFilter(f"Runs have no field {key!r:.80}.")
    return all_of([*_without(condition, [field]), *brush.parts(field)])


def unbrushed(condition: Condition | None, keys: Iterable[str]) -> Condition | None:
    """The filter without brushes of these fields."""
    return all_of(_without(condition, [field_of(key) for key in keys]))


def _without(condition: Condition | None, fields: Sequence[Field]) -> list[Condition]:
    return [part for part in conjuncts(condition) if _brushed_field(part) not in fields]


def _brushed_field(part: Condition) -> Field | None:
    if not isinstance(part, Comparison):
        return None
    is_end = part.operator in (">=", "<=") and isinstance(part.value, float)
    return part.field if is_end or part.operator == "IN" else None


def chips_of(condition: Condition | None) -> list[tuple[str, Condition | None]]:
    """Conditions of a filter in words, each with the filter without it: both ends of a
    range are one.
    """
    parts = conjuncts(condition)
    ranges = {
        field: brush
        for field, brush in brushes_in(condition).items()
        if len(brush.parts(field)) == 2
    }
    found: dict[str, Condition | None] = {}
    for place, part in enumerate(parts):
        field = _brushed_field(part)
        if field is not None and field in ranges:
            words = f"{field_text(field)} {ranges[field].low:.4g} to {ranges[field].high:.4g}"
            found[words] = all_of(_without(condition, [field]))
        else:
            found[condition_text(part)] = all_of([*parts[:place], *parts[place + 1 :]])
    return list(found.items())
