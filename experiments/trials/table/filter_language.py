"""Filter language of runs: `metrics.val_loss < 0.3 and params.optimizer = 'adam'`.

A superset of MLflow's: `or` and parentheses beside `and`. A field is a name, or an entity, a dot
and a name in which further dots, or anything within backticks or double quotes, may stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from experiments.errors import VerdictError

LONGEST = 20_000
DEEPEST = 40
MOST_VALUES = 400  # that a filter compares with; databases bound the depth of what is asked
Constant = str | float | tuple[str | float, ...] | None

ENTITIES = {
    alias: entity
    for entity, aliases in {
        "metric": ("metric", "metrics"),
        "best": ("best",),
        "at_best": ("at_best",),
        "parameter": ("parameter", "parameters", "param", "params"),
        "tag": ("tag", "tags"),
        "attribute": ("attribute", "attributes", "attr", "run"),
        "dataset": ("dataset", "datasets"),
    }.items()
    for alias in aliases
}
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    |(?P<text>'(?:[^'\\]|''|\\.)*')
    |(?P<quoted>"[^"]*"|`[^`]*`)
    |(?P<word>[A-Za-z_][\w/:\-]*)
    |(?P<sign><=|>=|!=|=|<|>|\(|\)|,|\.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_SIGNS = ("=", "!=", "<", "<=", ">", ">=")


class InvalidFilter(VerdictError):
    """The filter, or the order, cannot be read."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a run; `entity` is metric (its last value), best (its best value), at_best (its
    value at the run's best step), parameter, tag, attribute or dataset.
    """

    entity: str
    name: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`operator` in upper case: a sign, LIKE, ILIKE, IN, NOT IN, IS NULL or IS NOT NULL."""

    field: Field
    operator: str
    value: Constant


@dataclass(frozen=True, slots=True)
class Joined:
    """Conditions of which all ("and"), or any ("or"), hold."""

    word: str
    parts: tuple[Condition, ...]


Condition = Comparison | Joined


@dataclass(frozen=True, slots=True)
class Order:
    field: Field
    descending: bool


def parse(text: str) -> Condition | None:
    """The condition of a filter; None for an empty one.

    Raises:
        InvalidFilter: saying where it cannot be read.
    """
    if not text.strip():
        return None
    reader = _Reader(text)
    found = reader.any_of(0)
    if reader.kind:
        raise reader.wrong("expected and, or, or the end")
    return found


def parse_order(text: str) -> Order:
    """An order such as `metrics.val_loss ASC`; ascending unless told.

    Raises:
        InvalidFilter: for what is no field, or another direction.
    """
    reader = _Reader(text)
    field = reader.field()
    direction = reader.take_word("asc", "desc") or "asc"
    if reader.kind:
        raise reader.wrong("expected ASC, DESC or the end")
    return Order(field, direction == "desc")


PREFIXES = {"metric": "metrics", "parameter": "params", "tag": "tags", "dataset": "dataset"}


def field_text(field: Field) -> str:
    """A field as the language writes it: params.`learning rate`."""
    if field.entity == "attribute":
        return _quoted_name(field.name)
    return f"{PREFIXES.get(field.entity, field.entity)}.{_quoted_name(field.name)}"


def field_of(text: str) -> Field:
    """The field of a text such as `metrics.val_loss` or `state`; names may hold anything.

    Raises:
        InvalidFilter: for an entity that there is none of.
    """
    head, dot, name = text.partition(".")
    if not dot:
        return Field("attribute", text)
    if head.lower() not in ENTITIES:
        raise InvalidFilter(f"Runs have no field {text!r:.80}.")
    return Field(ENTITIES[head.lower()], name)


def canonical(key: str) -> str:
    """A field as columns and sort keys name it: metrics.x for metric.x; the key itself where it
    names none.
    """
    try:
        field = field_of(key)
    except InvalidFilter:
        return key
    if field.entity == "attribute":
        return field.name
    return f"{PREFIXES.get(field.entity, field.entity)}.{field.name}"


def condition_text(condition: Condition | None) -> str:
    """A filter that `parse` reads as this condition."""
    if condition is None:
        return ""
    if isinstance(condition, Comparison):
        field, operator = field_text(condition.field), condition.operator
        if operator in ("IS NULL", "IS NOT NULL"):
            return f"{field} {operator}"
        return f"{field} {operator} {_constant_text(condition.value)}"
    parts = [
        f"({condition_text(part)})" if isinstance(part, Joined) else condition_text(part)
        for part in condition.parts
    ]
    return f" {condition.word} ".join(parts)


def conjuncts(condition: Condition | None) -> tuple[Condition, ...]:
    """Conditions that all have to hold, one after another."""
    if isinstance(condition, Joined) and condition.word == "and":
        return condition.parts
    return () if condition is None else (condition,)


def all_of(conditions: Sequence[Condition]) -> Condition | None:
    """Condition that holds where each of these does."""
    parts = [part for condition in conditions for part in conjuncts(condition)]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else Joined("and", tuple(parts))


def _quoted_name(name: str) -> str:
    if re.fullmatch(r"[A-Za-z_][\w/:\-]*", name):
        return name
    # A name that holds both kinds of quotes cannot be written; nothing is named so in practice.
    return f'"{name}"' if "`" in name else f"`{name}`"


def _constant_text(value: Constant) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(_constant_text(element) for element in value)})"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "''")
        return f"'{escaped}'"
    return f"{value:g}" if value is not None and float(f"{value:g}") == value else repr(value)


class _Reader:
    """Tokens one after another; `kind` and `value` are the present one's, empty at the end."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise InvalidFilter(f"The filter is longer than {LONGEST} characters.")
        self._text = text
        self._values = 0
        self._tokens = self._split()
        self.next()

    def _split(self) -> Iterator[tuple[str, str, int]]:
        place, end = 0, len(self._text.rstrip())
        while place < end:
            found = _TOKEN.match(self._text, place)
            if found is None:
                raise InvalidFilter(f"Invalid filter at {self._text[place:].strip()!r:.60}.")
            place = found.end()
            kind = str(found.lastgroup)
            yield kind, found[kind], found.start(kind)

    def next(self) -> None:
        self.kind, self.value, self._place = next(self._tokens, ("", "", len(self._text)))

    def wrong(self, wanted: str) -> InvalidFilter:
        found = self._text[self._place :].strip()
        where = f"at {found!r:.60}" if found else "at its end"
        return InvalidFilter(f"Invalid filter {where}: {wanted}.")

    def take_word(self, *words: str) -> str:
        """One of some words, in lower case; empty when there is none of them."""
        word = self.value.lower()
        if self.kind != "word" or word not in words:
            return ""
        self.next()
        return word

    def _take_sign(self, *signs: str) -> str:
        sign = self.value
        if self.kind != "sign" or sign not in signs:
            return ""
        self.next()
        return sign

    def any_of(self, depth: int) -> Condition:
        parts = [self._all_of(depth)]
        while self.take_word("or"):
            parts.append(self._all_of(depth))
        return parts[0] if len(parts) == 1 else Joined("or", tuple(parts))

    def _all_of(self, depth: int) -> Condition:
        parts = [self._one(depth)]
        while self.take_word("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else Joined("and", tuple(parts))

    def _one(self, depth: int) -> Condition:
        if not self._take_sign("("):
            return self._comparison()
        if depth >= DEEPEST:
            raise self.wrong(f"parentheses are nested deeper than {DEEPEST}")
        found = self.any_of(depth + 1)
        if not self._take_sign(")"):
            raise self.wrong("expected )")
        return found

    def field(self) -> Field:
        first = self._name()
        if not self._take_sign("."):
            return Field("attribute", first)
        entity = ENTITIES.get(first.lower())
        if entity is None:
            known = ", ".join(sorted(ENTITIES))
            raise InvalidFilter(f"Invalid entity type {first!r:.60}: expected one of {known}.")
        parts = [self._name()]
        while self._take_sign("."):
            parts.append(self._name())
        return Field(entity, ".".join(parts))

    def _name(self) -> str:
        if self.kind not in ("word", "quoted", "number"):
            raise self.wrong("expected a field such as metrics.loss or params.`learning rate`")
        name = self.value[1:-1] if self.kind == "quoted" else self.value
        self.next()
        return name

    def _comparison(self) -> Comparison:
        field = self.field()
        if sign := self._take_sign(*_SIGNS):
            return Comparison(field, sign, self._constant())
        word = self.take_word("like", "ilike", "in", "not", "is")
        if word in ("like", "ilike"):
            return Comparison(field, word.upper(), self._constant())
        if word == "is":
            negated = self.take_word("not")
            if not self.take_word("null"):
                raise self.wrong("expected NULL")
            self._count()
            return Comparison(field, "IS NOT NULL" if negated else "IS NULL", None)
        if word == "not" and not self.take_word("in"):
            raise self.wrong("expected IN")
        if not word:
            raise self.wrong("expected =, !=, <, <=, >, >=, LIKE, ILIKE, IN, NOT IN or IS NULL")
        return Comparison(field, "IN" if word == "in" else "NOT IN", self._list())

    def _constant(self) -> str | float:
        kind, value = self.kind, self.value
        if kind not in ("number", "text", "quoted"):
            raise self.wrong("expected a number, or a text within quotes")
        self._count()
        self.next()
        if kind == "number":
            return float(value)
        if kind == "text":
            return re.sub(r"\\(['\\])", r"\1", value[1:-1].replace("''", "'"))
        return value[1:-1]

    def _count(self) -> None:
        self._values += 1
        if self._values > MOST_VALUES:
            raise InvalidFilter(
                f"The filter compares with more than {MOST_VALUES} values; split the search."
            )

    def _list(self) -> tuple[str | float, ...]:
        if not self._take_sign("("):
            raise self.wrong("expected a list such as ('a', 'b')")
        found = [self._constant()]
        while self._take_sign(","):
            found.append(self._constant())
        if not self._take_sign(")"):
            raise self.wrong("expected , or )")
        return tuple(found)
