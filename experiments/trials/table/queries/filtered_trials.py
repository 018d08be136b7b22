"""Conditions and orders of the filter language as queries of trials."""

from __future__ import annotations

import datetime as dt
import math
import re
import uuid
from collections.abc import Callable
from typing import Any

from django.db.models import (
    BooleanField,
    Exists,
    F,
    Func,
    OuterRef,
    Q,
    Subquery,
    TextField,
    Value,
)
from django.db.models.expressions import Combinable, OrderBy
from django.db.models.lookups import (
    Exact,
    GreaterThan,
    GreaterThanOrEqual,
    IsNull,
    LessThan,
    LessThanOrEqual,
)

from experiments.models import LatestMetric, RunDataset
from experiments.models.trial import FailureKind, TrialState
from experiments.trials.table.filter_language import (
    Comparison,
    Condition,
    InvalidFilter,
    Order,
)

MOST_WILDCARDS = 20
SEED_PARAMETER = "parameter:"  # system attribute of a parameter that became a seed
FOREIGN_NAME = "name"  # system attribute of a study: a name that no address of ours can hold
USER = "user"  # system attribute: who the program said ran it
_SIGNS: dict[str, Callable[..., Any]] = {
    "=": Exact,
    "<": LessThan,
    "<=": LessThanOrEqual,
    ">": GreaterThan,
    ">=": GreaterThanOrEqual,
}
_NUMBERS = {"start_time": "started_at", "end_time": "finished_at", "created": "started_at"} | {
    name: name for name in ("number", "seconds")
} | {"score": "value"}  # fmt: skip
_MOMENTS = ("started_at", "finished_at")
_RUN_NAMES = ("run_name", "run name", "Run name", "Run Name")
STATUS = {
    "RUNNING": Q(state=TrialState.RUNNING),
    "SCHEDULED": Q(state=TrialState.WAITING),
    "FINISHED": Q(state=TrialState.COMPLETE)
    | Q(state=TrialState.FAILED, failure_kind=FailureKind.INFEASIBLE),
    "KILLED": Q(state=TrialState.PRUNED)
    | Q(state=TrialState.FAILED, failure_kind=FailureKind.CANCELLED),
    "FAILED": Q(state=TrialState.FAILED)
    & ~Q(failure_kind__in=(FailureKind.INFEASIBLE, FailureKind.CANCELLED)),
}


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


class _JsonOrder(JsonItem):
    """An item to sort by: numbers by their size, before texts or after them."""

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "((%(expressions)s))"
        return self.as_sql(
            compiler, connection, template=template, arg_joiner=")::jsonb -> (", **context
        )


class _JsonConstant(Value):
    """A text as `JsonItem` gives it: on SQLite a number where it would be stored as one."""

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        number = number_of(self.value)
        return super().as_sql(compiler, connection) if number is None else ("%s", [number])


class _Like(Func):
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


def combined(condition: Condition, compare: Callable[[Comparison], Q]) -> Q:
    """Argument of `filter` for a condition; `compare` gives that of one comparison."""
    if isinstance(condition, Comparison):
        return compare(condition)
    found = combined(condition.parts[0], compare)
    for part in condition.parts[1:]:
        other = combined(part, compare)
        found = found & other if condition.word == "and" else found | other
    return found


def condition_of(condition: Condition) -> Q:
    """Argument of `Trial.objects.filter` for a condition.

    Raises:
        InvalidFilter: for a field, operator or value that does not go together.
    """
    return combined(condition, lambda compared: _COMPARED[compared.field.entity](compared))


def order_of(order: Order) -> list[OrderBy]:
    """Arguments of `order_by` for an order; rows without the field, and NaN, come last."""
    name = order.field.name
    if order.field.entity == "metric":
        of_trial = LatestMetric.objects.filter(trial=OuterRef("pk"), name=name)
        by: Any = Subquery(of_trial.values("value")[:1])
    elif order.field.entity == "parameter":
        by = _JsonOrder("parameters", name)
    elif order.field.entity == "tag":
        by = JsonItem("user_attributes", name)
    elif order.field.entity == "attribute":
        by = _attribute(name)
    else:
        raise InvalidFilter(f"Runs cannot be ordered by {name!r:.60} of a dataset.")
    return [OrderBy(by, descending=order.descending, nulls_last=True)]


def _attribute(name: str) -> Any:
    if name in _NUMBERS:
        return F(_NUMBERS[name])
    if name in _RUN_NAMES:
        return F("run_name")
    if name == "user_id":
        return JsonItem("system_attributes", USER)
    if name in ("run_id", "status", "state"):
        return F("run_id" if name == "run_id" else "state")
    raise InvalidFilter(
        f"Invalid attribute key {name!r:.60}: expected one of end_time, number, run_id, run_name, "
        "score, seconds, start_time, status, user_id."
    )


def _wrong(compared: Comparison, wanted: str) -> InvalidFilter:
    field = compared.field
    return InvalidFilter(
        f"Invalid filter for the {field.entity} {field.name!r:.60} with {compared.operator}: "
        f"expected {wanted}."
    )


def _number(compared: Comparison) -> float:
    if not isinstance(compared.value, float):
        raise _wrong(compared, "a number to compare with")
    return compared.value


def _texts(compared: Comparison) -> list[str]:
    values = compared.value if isinstance(compared.value, tuple) else (compared.value,)
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) != len(values):
        raise _wrong(compared, "a text within quotes to compare with")
    return texts


def _signed(left: Any, compared: Comparison, value: Any) -> Q:
    operator = compared.operator
    if operator == "!=":
        return Q(IsNull(left, False)) & ~Q(Exact(left, value))
    if operator not in _SIGNS:
        raise _wrong(compared, "one of = != < <= > >=")
    return Q(_SIGNS[operator](left, value))


def compare_number(left: Any, compared: Comparison) -> Q:
    """A condition on a number: = != < <= > >=."""
    return _signed(left, compared, _number(compared))


def _metric(compared: Comparison) -> Q:
    found = LatestMetric.objects.filter(trial=OuterRef("pk"), name=compared.field.name)
    if compared.operator in ("IS NULL", "IS NOT NULL"):
        there = Q(Exists(found))
        return there if compared.operator == "IS NOT NULL" else ~there
    return Q(Exists(found.filter(compare_number(F("value"), compared))))


def compare_text(left: Any, compared: Comparison, constant: Callable[[str], Any] = Value) -> Q:
    """A condition on a text: =, !=, LIKE, ILIKE, IN, NOT IN, IS NULL or IS NOT NULL."""
    operator = compared.operator
    if operator in ("IS NULL", "IS NOT NULL"):
        return Q(IsNull(left, operator == "IS NULL"))
    texts = _texts(compared)
    if operator in ("LIKE", "ILIKE"):
        return Q(_Like(left, _pattern(texts[0]), ignores_case=operator == "ILIKE"))
    if operator not in ("=", "!=", "IN", "NOT IN"):
        raise _wrong(compared, "one of = != LIKE ILIKE IN, NOT IN")
    found = Q()
    for text in texts:
        found |= Q(Exact(left, constant(text)))
    return found if operator in ("=", "IN") else Q(IsNull(left, False)) & ~found


def _parameter(compared: Comparison) -> Q:
    name = compared.field.name
    own = compare_text(JsonItem("parameters", name), compared, _JsonConstant)
    as_seed = JsonItem("system_attributes", SEED_PARAMETER + name)
    other = compare_text(as_seed, compared)
    return own & other if compared.operator == "IS NULL" else own | other


def _tag(compared: Comparison) -> Q:
    return compare_text(JsonItem("user_attributes", compared.field.name), compared)


def _dataset(compared: Comparison) -> Q:
    name = compared.field.name
    if name not in ("name", "digest", "context"):
        raise _wrong(compared, "name, digest or context of a dataset")
    found = RunDataset.objects.filter(compare_text(F(name), compared), trial=OuterRef("pk"))
    return Q(Exists(found))


def _attributes(compared: Comparison) -> Q:
    name = compared.field.name
    column = _attribute(name)
    if name in _NUMBERS:
        if compared.operator in ("IS NULL", "IS NOT NULL"):
            return Q(IsNull(column, compared.operator == "IS NULL"))
        number: Any = _number(compared)
        return _signed(column, compared, _moment(number) if column.name in _MOMENTS else number)
    if name in ("status", "state"):
        return _status(compared)
    if name == "run_id":
        return compare_run_id("run_id", compared)
    return compare_text(column, compared)


def _status(compared: Comparison) -> Q:
    if compared.operator not in ("=", "!=", "IN", "NOT IN"):
        raise _wrong(compared, "one of = != IN, NOT IN")
    found = Q(state__isnull=True)
    for text in _texts(compared):
        found |= STATUS.get(text.upper(), Q(state__isnull=True))
    return found if compared.operator in ("=", "IN") else ~found


def compare_run_id(column: str, compared: Comparison) -> Q:
    """A condition on a run's id: =, !=, IN or NOT IN."""
    if compared.operator not in ("=", "!=", "IN", "NOT IN"):
        raise _wrong(compared, "one of = != IN, NOT IN")
    keys = [each for text in _texts(compared) if (each := run_id_of(text))]
    found = Q(**{f"{column}__in": keys})
    return found if compared.operator in ("=", "IN") else ~found


def run_id_of(text: str) -> uuid.UUID | None:
    """A run's id in the form of the database; None for what cannot be one."""
    try:
        return uuid.UUID(hex=text) if len(text) == 32 else None
    except ValueError:
        return None


def _moment(milliseconds: float) -> dt.datetime:
    """A time since 1970; those that no calendar holds are as far as it goes."""
    try:
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=milliseconds)
    except OverflowError:
        ends = dt.datetime.max if milliseconds > 0 else dt.datetime(1, 1, 2)
        return ends.replace(tzinfo=dt.UTC)


def _pattern(text: str) -> str:
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


_COMPARED: dict[str, Callable[[Comparison], Q]] = {
    "metric": _metric,
    "parameter": _parameter,
    "tag": _tag,
    "dataset": _dataset,
    "attribute": _attributes,
}
