"""Conditions and orders of the filter language as queries of trials."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.db.models import (
    Exists,
    F,
    OuterRef,
    Q,
    Subquery,
    Value,
)
from django.db.models.expressions import OrderBy
from django.db.models.lookups import (
    Exact,
    GreaterThan,
    GreaterThanOrEqual,
    IsNull,
    LessThan,
    LessThanOrEqual,
)

from experiments.design.metrics import guess
from experiments.design.trial_names import arm_letter
from experiments.models import Finding, LatestMetric, RunDataset
from experiments.models.trial import FailureKind, TrialState
from experiments.trials.table.filter_language import (
    Comparison,
    Condition,
    InvalidFilter,
    Joined,
    Order,
)
from experiments.trials.table.queries.json_items import (
    JsonItem,
    JsonNumber,
    JsonOrder,
    parameter_item,
)
from experiments.trials.table.queries.text_patterns import Like, bounded_pattern

SEED_PARAMETER = "parameter:"  # system attribute of a parameter that became a seed
FOREIGN_NAME = "name"  # system attribute of a study: a name that no address of ours can hold
USER = "user"  # system attribute: who the program said ran it
NOTE = "mlflow.note.content"  # tag: what a person wrote about a run
_SIGNS: dict[str, Callable[..., Any]] = {
    "=": Exact,
    "<": LessThan,
    "<=": LessThanOrEqual,
    ">": GreaterThan,
    ">=": GreaterThanOrEqual,
}
_NUMBERS = {
    "start_time": "started_at",
    "end_time": "finished_at",
    "created": "started_at",
    "score": "value",
} | {
    name: name
    for name in ("number", "seconds", "best_step", "attempt", "evaluations", "peak_memory_mb",
                 "train_seed", "split_seed", "search_seed")
}  # fmt: skip
_TEXTS = {
    "experiment": "study__experiment__name",
    "study": "study__name",
    "device": "device",
    "worker": "worker__name",
    "origin": "origin",
    "configuration": "configuration__digest",
    "failure": "failure_reason",
    "name": "run_name",
}
MOST_ARMS = 200  # letters that a condition on arms looks among
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
_STATES = {
    "COMPLETE": Q(state=TrialState.COMPLETE),
    "PRUNED": Q(state=TrialState.PRUNED),
    "WAITING": Q(state=TrialState.WAITING),
    "FAILED": Q(state=TrialState.FAILED),
}  # in Verdict's words, where they differ from MLflow's


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


def in_tables(condition: Condition, maximized: Callable[[str], bool]) -> Condition:
    """The condition as tables mean it, which MLflow's clients do not: the best of a metric is told
    by whether the metric is maximised, and parameters and tags compare with numbers.
    """
    if isinstance(condition, Joined):
        parts = tuple(in_tables(part, maximized) for part in condition.parts)
        return Joined(condition.word, parts)
    field = condition.field
    if field.entity in _QUANTITIES and isinstance(condition.value, float):
        return replace(condition, field=replace(field, entity=_QUANTITIES[field.entity]))
    if field.entity != "best":
        return condition
    end = "highest" if maximized(field.name) else "lowest"
    return replace(condition, field=replace(field, entity=end))


def order_of(order: Order) -> list[OrderBy]:
    """Arguments of `order_by` for an order; rows without the field, and NaN, come last."""
    name = order.field.name
    if order.field.entity in _METRICS:
        by: Any = metric_value(order.field.entity, name)
    elif order.field.entity == "parameter":
        by = parameter_item(JsonOrder, name)
    elif order.field.entity == "tag":
        by = JsonOrder("user_attributes", name)
    elif order.field.entity == "attribute":
        by = _attribute(name)
    else:
        raise InvalidFilter(f"Runs cannot be ordered by {name!r:.60} of a dataset.")
    return [OrderBy(by, descending=order.descending, nulls_last=True)]


def metric_value(entity: str, name: str) -> Subquery:
    """Last, best, at-best, lowest or highest value of a metric, for each trial outside."""
    of_trial = LatestMetric.objects.filter(trial=OuterRef("pk"), name=name)
    return Subquery(of_trial.values(metric_column(entity, name))[:1])


def metric_column(entity: str, name: str) -> str:
    """Column of `LatestMetric` that holds it; which end is the best one, the name tells."""
    if entity == "best" and guess(name).direction == "maximize":
        return "highest"
    return _METRICS[entity]


_QUANTITIES = {"parameter": "quantity", "tag": "tag_quantity"}
# "best" is told by the direction of the metric.
_METRICS = {
    "metric": "value",
    "at_best": "at_best",
    "best": "lowest",
    "lowest": "lowest",
    "highest": "highest",
}


def _attribute(name: str) -> Any:
    if name in _NUMBERS:
        return F(_NUMBERS[name])
    if name in _TEXTS:
        return F(_TEXTS[name])
    if name == "note":
        return JsonItem("user_attributes", NOTE)
    if name == "code":
        return JsonItem("configuration__document", "code")
    if name == "arm":
        return F("study__arm_index")
    if name in _RUN_NAMES:
        return F("run_name")
    if name == "user_id":
        return JsonItem("system_attributes", USER)
    if name in ("run_id", "status", "state"):
        return F("run_id" if name == "run_id" else "state")
    if name == "finding":
        raise InvalidFilter("Runs cannot be ordered by their findings.")
    raise InvalidFilter(
        f"Invalid attribute key {name!r:.60}: expected one of {', '.join(ATTRIBUTES)}."
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


ATTRIBUTES = tuple(
    sorted(
        {*_NUMBERS, *_TEXTS, "run_id", "run_name", "status", "state", "user_id"}
        | {"arm", "code", "finding", "note"}
    )
)


def _metric(compared: Comparison) -> Q:
    name, column = compared.field.name, metric_column(compared.field.entity, compared.field.name)
    found = LatestMetric.objects.filter(trial=OuterRef("pk"), name=name)
    if compared.operator in ("IS NULL", "IS NOT NULL"):
        if column != "value":  # NaN is a last value, and never a best one
            found = found.filter(**{f"{column}__isnull": False})
        there = Q(Exists(found))
        return there if compared.operator == "IS NOT NULL" else ~there
    return Q(Exists(found.filter(compare_number(F(column), compared))))


def compare_text(left: Any, compared: Comparison) -> Q:
    """A condition on a text: =, !=, LIKE, ILIKE, IN, NOT IN, IS NULL or IS NOT NULL."""
    operator = compared.operator
    if operator in ("IS NULL", "IS NOT NULL"):
        return Q(IsNull(left, operator == "IS NULL"))
    texts = _texts(compared)
    if operator in ("LIKE", "ILIKE"):
        return Q(Like(left, bounded_pattern(texts[0]), ignores_case=operator == "ILIKE"))
    if operator not in ("=", "!=", "IN", "NOT IN"):
        raise _wrong(compared, "one of = != LIKE ILIKE IN, NOT IN")
    found = Q()
    for text in texts:
        found |= Q(Exact(left, Value(text)))
    return found if operator in ("=", "IN") else Q(IsNull(left, False)) & ~found


def _parameter(compared: Comparison) -> Q:
    name = compared.field.name
    own = compare_text(parameter_item(JsonItem, name), compared)
    as_seed = JsonItem("system_attributes", SEED_PARAMETER + name)
    other = compare_text(as_seed, compared)
    return own & other if compared.operator == "IS NULL" else own | other


def _quantity(compared: Comparison) -> Q:
    """A condition on a parameter that is a number."""
    return _signed(parameter_item(JsonNumber, compared.field.name), compared, _number(compared))


def _tag_quantity(compared: Comparison) -> Q:
    """A condition on a tag that is a number."""
    item = JsonNumber("user_attributes", compared.field.name)
    return _signed(item, compared, _number(compared))


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
    if name == "finding":
        return _finding(compared)
    column = _attribute(name)
    if name in _NUMBERS:
        if compared.operator in ("IS NULL", "IS NOT NULL"):
            return Q(IsNull(column, compared.operator == "IS NULL"))
        number: Any = _number(compared)
        return _signed(column, compared, _moment(number) if column.name in _MOMENTS else number)
    if name in ("status", "state"):
        return _status(compared)
    if name == "arm":
        return _arm(compared)
    if name == "run_id":
        return compare_run_id("run_id", compared)
    return compare_text(column, compared)


def _status(compared: Comparison) -> Q:
    if compared.operator not in ("=", "!=", "IN", "NOT IN"):
        raise _wrong(compared, "one of = != IN, NOT IN")
    found = Q(state__isnull=True)
    words = STATUS if compared.field.name == "status" else {**STATUS, **_STATES}
    for text in _texts(compared):
        found |= words.get(text.upper(), Q(state__isnull=True))
    return found if compared.operator in ("=", "IN") else ~found


def _arm(compared: Comparison) -> Q:
    """A condition on the letter of a run's arm."""
    if compared.operator not in ("=", "!=", "IN", "NOT IN"):
        raise _wrong(compared, "one of = != IN, NOT IN")
    letters = {arm_letter(index): index for index in range(MOST_ARMS)}
    wanted = [letters[text.upper()] for text in _texts(compared) if text.upper() in letters]
    found = Q(study__arm_index__in=wanted)
    return found if compared.operator in ("=", "IN") else ~found


def _finding(compared: Comparison) -> Q:
    """A condition on the rules that fired on a run and that nobody dismissed."""
    of_trial = Finding.objects.asking().filter(trial=OuterRef("pk"))
    if compared.operator in ("IS NULL", "IS NOT NULL"):
        there = Q(Exists(of_trial))
        return there if compared.operator == "IS NOT NULL" else ~there
    if compared.operator not in ("=", "!=", "IN", "NOT IN"):
        raise _wrong(compared, "one of = != IN, NOT IN, IS NULL")
    found = Q(Exists(of_trial.filter(rule__in=_texts(compared))))
    return found if compared.operator in ("=", "IN") else ~found


def compare_run_id(column: str, compared: Comparison) -> Q:
    """A condition on a run's id: =, !=, IN or NOT IN."""
    if compared.operator not in ("=", "!=", "IN", "NOT IN"):
        raise _wrong(compared, "one of = != IN, NOT IN")
    keys = [run_id for text in _texts(compared) if (run_id := run_id_of(text))]
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


_COMPARED: dict[str, Callable[[Comparison], Q]] = {
    "metric": _metric,
    "best": _metric,
    "lowest": _metric,
    "highest": _metric,
    "at_best": _metric,
    "parameter": _parameter,
    "quantity": _quantity,
    "tag": _tag,
    "tag_quantity": _tag_quantity,
    "dataset": _dataset,
    "attribute": _attributes,
}
