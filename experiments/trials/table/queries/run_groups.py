"""Groups of runs by parameters, tags, arm, configuration: mean, deviation, number and best.

All is counted by the database, whatever the number of runs; a few queries for a page of groups.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import (
    Avg,
    Case,
    Count,
    F,
    FilteredRelation,
    FloatField,
    Max,
    Min,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.expressions import Combinable, OrderBy
from django.db.models.functions import Abs
from django.db.models.lookups import GreaterThan

from experiments.design.queries.experiments import arm_label
from experiments.design.trial_names import arm_letter
from experiments.models import LatestMetric, Study, Trial
from experiments.trials.table.columns import Column
from experiments.trials.table.filter_language import (
    Comparison,
    Condition,
    Field,
    InvalidFilter,
    all_of,
    field_of,
)
from experiments.trials.table.queries.filtered_trials import condition_of
from experiments.trials.table.queries.json_items import JsonItem, parameter_item
from experiments.trials.table.queries.run_scope import SAMPLED, RunScope, matching
from experiments.trials.table.queries.trial_table import STATE_WORDS
from experiments.trials.table.runs_state import RunsState
from experiments.web.pagination import Page, PageOf, page_bounds

COUNT = "runs"  # sort key: the number of runs of a group
_PLAIN = {
    "state": "state",
    "experiment": "study__experiment__name",
    "arm": "study_id",
    "configuration": "configuration__digest",
    "device": "device",
    "worker": "worker__name",
    "origin": "origin",
    "name": "run_name",
    "split_seed": "split_seed",
    "search_seed": "search_seed",
}
_NUMBERS = {"score": "value", "seconds": "seconds", "best_step": "best_step"}
_METRICS = ("metric", "best", "at_best")
# Sums of squares of larger values leave float64: their groups have no mean and no deviation.
_LARGEST = 1e100
_LEAST = 1e-150
_LOST = 1e-6  # share of a sum of squares below which a difference of them has lost its digits


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, sample standard deviation (None of a single run), number and best of some values."""

    mean: float | None
    deviation: float | None
    count: int
    best: float | None


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Runs that agree in what they are grouped by; `condition` finds them."""

    labels: tuple[str, ...]
    count: int
    condition: Condition
    spreads: Mapping[str, Spread] = field(repr=False)

    @property
    def name(self) -> str:
        return ", ".join(self.labels)


def measures(columns: Sequence[Column]) -> list[Column]:
    """The columns of which groups show mean and deviation."""
    return [
        column
        for column in columns
        if column.key in _NUMBERS or field_of(column.key).entity in _METRICS
    ]


def known_groups(keys: Sequence[str]) -> tuple[str, ...]:
    """The keys among these by which runs can be grouped."""
    return tuple(key for key in keys if _expression(key) is not None)


def group_page(scope: RunScope, state: RunsState, columns: Sequence[Column]) -> Page[RunGroup]:
    """The page of groups that a state asks for, the best mean score first.

    Raises:
        InvalidFilter: saying what is wrong with the filter.
    """
    keys = known_groups(state.groups)
    shown = measures(columns)
    grouped = _grouped(matching(scope, state), keys)
    centers = _centers(scope, state, shown)
    counted = _measured(grouped, keys, shown, centers, scope)
    ordered = counted.order_by(*_order(scope, state, keys, shown))
    rows = list(ordered[: state.rows + 1]) if state.page == 1 else []
    if state.page == 1 and len(rows) <= state.rows:
        number, total = 1, len(rows)
    else:
        total = grouped.values(*_names(keys)).distinct().count()
        number, start, end = page_bounds(PageOf(state.page, state.rows), total)
        rows = list(ordered[start:end])
    labels = _Labels.read(keys, rows)
    groups = [_group(row, keys, shown, centers, labels, scope) for row in rows]
    groups = [
        _measured_again(group, grouped, keys, shown, labels, scope)
        if any(_has_lost_digits(row, place, centers, column) for place, column in enumerate(shown))
        else group
        for row, group in zip(rows, groups, strict=True)
    ]
    return Page(groups, number, total, state.rows)


def _has_lost_digits(
    row: Mapping[str, Any], place: int, centers: Mapping[str, float], column: Column
) -> bool:
    """Test whether a group lies so far from the typical value that its deviation drowned."""
    squares, mean = row[f"squares{place}"], row[f"mean{place}"]
    if row[f"n{place}"] < 2 or not squares or mean is None:
        return False
    apart = mean - centers[column.key]
    left = squares - row[f"n{place}"] * apart * apart
    return math.isfinite(left) and left < _LOST * squares


def _measured_again(
    group: RunGroup,
    rows: QuerySet[Trial],
    keys: Sequence[str],
    columns: Sequence[Column],
    labels: _Labels,
    scope: RunScope,
) -> RunGroup:
    """The group with squares taken of what lies beside its own means."""
    centers = {key: spread.mean or 0.0 for key, spread in group.spreads.items()}
    own = _measured(rows.filter(condition_of(group.condition)), keys, columns, centers, scope)
    row = next(iter(own), None)
    return _group(row, keys, columns, centers, labels, scope) if row else group


def _names(keys: Sequence[str]) -> list[str]:
    return [f"group{place}" for place in range(len(keys))]


def _expression(key: str) -> Any:
    """Expression that runs are grouped by; None for a key by which they cannot be."""
    if key in _PLAIN:
        return F(_PLAIN[key])
    if key == "code":
        return JsonItem("configuration__document", "code")
    try:
        found = field_of(key)
    except InvalidFilter:
        return None
    if found.entity == "parameter":
        return parameter_item(JsonItem, found.name)
    return JsonItem("user_attributes", found.name) if found.entity == "tag" else None


def _grouped(rows: QuerySet[Trial], keys: Sequence[str]) -> QuerySet[Trial]:
    by = {name: _expression(key) for name, key in zip(_names(keys), keys, strict=True)}
    return rows.order_by().annotate(**by)


def _column_of(place: int, column: Column, scope: RunScope) -> str:
    """Column of the database that holds the values of a column."""
    if column.key in _NUMBERS:
        return _NUMBERS[column.key]
    found = field_of(column.key)
    if found.entity == "best":
        return f"metric{place}__{'highest' if scope.maximized()(found.name) else 'lowest'}"
    return f"metric{place}__{'value' if found.entity == 'metric' else 'at_best'}"


def _measured(
    rows: QuerySet[Trial],
    keys: Sequence[str],
    columns: Sequence[Column],
    centers: Mapping[str, float],
    scope: RunScope,
) -> QuerySet[Trial, dict[str, Any]]:
    """Groups with their sums. Squares are taken of what lies beside a typical value of a column,
    so that they lose no digits.
    """
    for place, column in enumerate(columns):
        if column.key not in _NUMBERS:
            of_name = Q(latest_metrics__name=field_of(column.key).name)
            relation = FilteredRelation("latest_metrics", condition=of_name)
            rows = rows.annotate(**{f"metric{place}": relation})
    sums: dict[str, Any] = {"runs": Count("pk")}
    for place, column in enumerate(columns):
        name = _column_of(place, column, scope)
        apart = F(name) - Value(centers.get(column.key, 0.0), FloatField())
        whole = column.key == "best_step"
        tame = None if whole else Q(**{f"{name}__range": (-_LARGEST, _LARGEST)})
        sums |= {
            f"n{place}": Count(name),
            f"mean{place}": Avg(name, filter=tame),
            f"low{place}": Min(name),
            f"high{place}": Max(name),
            f"squares{place}": Sum(_squared(apart), filter=tame, output_field=FloatField()),
        }
    measured: QuerySet[Trial, dict[str, Any]] = rows.values(*_names(keys)).annotate(**sums)
    return measured


def _squared(apart: Combinable) -> Case:
    """The square of a distance; 0 of one whose square PostgreSQL refuses as an underflow."""
    seen = GreaterThan(Abs(apart, output_field=FloatField()), Value(_LEAST))
    return Case(When(seen, then=apart * apart), default=Value(0.0), output_field=FloatField())


def _centers(scope: RunScope, state: RunsState, columns: Sequence[Column]) -> dict[str, float]:
    """A typical value of each column: the median of the newest runs."""
    newest = list(matching(scope, state).order_by("-pk").values_list("pk", flat=True)[:SAMPLED])
    names = {field_of(column.key).name for column in columns if column.key not in _NUMBERS}
    found: dict[str, list[float]] = {}
    if names:
        rows = LatestMetric.objects.filter(trial_id__in=newest, name__in=names)
        for name, value in rows.values_list("name", "value"):
            if value is not None and math.isfinite(value):
                found.setdefault(name, []).append(value)
    plain = list(Trial.objects.filter(pk__in=newest).values(*_NUMBERS.values()))
    centers = {}
    for column in columns:
        if column.key in _NUMBERS:
            values = [row[_NUMBERS[column.key]] for row in plain]
            values = [value for value in values if value is not None]
        else:
            values = found.get(field_of(column.key).name, [])
        tame = [value for value in values if abs(value) <= _LARGEST]
        centers[column.key] = float(statistics.median(tame)) if tame else 0.0
    return centers


def _order(
    scope: RunScope, state: RunsState, keys: Sequence[str], columns: Sequence[Column]
) -> list[Any]:
    """Sort keys of a state as orders of groups: means, the number of runs, what they share."""
    names = dict(zip(keys, _names(keys), strict=True))
    places = {column.key: f"mean{place}" for place, column in enumerate(columns)}
    by: list[Any] = []
    for key in state.sort:
        if key.key == COUNT:
            by.append(OrderBy(F("runs"), descending=key.descending))
        elif key.key in names:
            by.append(OrderBy(F(names[key.key]), descending=key.descending, nulls_last=True))
        elif key.key in places:
            rising = key.key != "score" or scope.score_direction == "minimize"
            descending = key.descending if rising else not key.descending
            by.append(OrderBy(F(places[key.key]), descending=descending, nulls_last=True))
    if not by and "score" in places:
        descending = scope.score_direction == "maximize"
        by.append(OrderBy(F(places["score"]), descending=descending, nulls_last=True))
    return [*by, OrderBy(F("runs"), descending=True), *names.values()]


@dataclass(frozen=True, slots=True)
class _Labels:
    """Arms by their study: experiment's name (None of a free-standing one), letter, words, the
    study's name.
    """

    arms: Mapping[int, tuple[str | None, str, str, str]]

    @classmethod
    def read(cls, keys: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> _Labels:
        if "arm" not in keys:
            return cls({})
        name = _names(keys)[keys.index("arm")]
        studies = Study.objects.filter(pk__in=[row[name] for row in rows])
        found = studies.values_list("pk", "experiment__name", "arm_index", "arm", "name")
        return cls(
            {
                pk: (experiment, arm_letter(index), arm_label(arm), name)
                for pk, experiment, index, arm, name in found
            }
        )


def _group(
    row: Mapping[str, Any],
    keys: Sequence[str],
    columns: Sequence[Column],
    centers: Mapping[str, float],
    labels: _Labels,
    scope: RunScope,
) -> RunGroup:
    found = [
        _label(key, row[name], labels, scope) for key, name in zip(keys, _names(keys), strict=True)
    ]
    maximized = scope.maximized()
    spreads = {}
    for place, column in enumerate(columns):
        rises = column.key == "score" and scope.score_direction == "maximize"
        if field_of(column.key).entity in _METRICS:
            rises = maximized(field_of(column.key).name)
        spreads[column.key] = _spread(row, place, centers.get(column.key, 0.0), rises)
    condition = all_of([part for _, conditions in found for part in conditions])
    assert condition is not None  # there is no group without a key
    return RunGroup(tuple(words for words, _ in found), row["runs"], condition, spreads)


def _spread(row: Mapping[str, Any], place: int, center: float, rises: bool) -> Spread:
    count, mean = row[f"n{place}"], row[f"mean{place}"]
    best = row[f"{'high' if rises else 'low'}{place}"]
    squares = row[f"squares{place}"]
    deviation = None
    if any(abs(row[f"{end}{place}"] or 0.0) > _LARGEST for end in ("low", "high")):
        return Spread(None, None, count, best)
    if count > 1 and mean is not None and squares is not None:
        apart = mean - center
        left = squares - count * apart * apart  # where ** raises, a product is infinite
        deviation = math.sqrt(max(0.0, left) / (count - 1)) if math.isfinite(left) else None
    return Spread(mean, deviation, count, best)


def _label(
    key: str, value: Any, labels: _Labels, scope: RunScope
) -> tuple[str, tuple[Comparison, ...]]:
    """A group's value in words, and the conditions that its runs fulfil."""
    field = field_of(key)
    if value is None or (value == "" and field.entity == "attribute"):
        return "none", (Comparison(field, "IS NULL", None),) if value is None else (
            Comparison(field, "=", ""),
        )
    if key == "arm":
        experiment, letter, words, study = labels.arms.get(value, (None, "?", "", ""))
        if experiment is None:
            return study, (Comparison(Field("attribute", "study"), "=", study),)
        name = f"{letter}: {words}" if words else letter
        arm = Comparison(field, "=", letter)
        if scope.single:
            return name, (arm,)
        named = Comparison(Field("attribute", "experiment"), "=", experiment)
        return f"{experiment} {name}", (named, arm)
    if key == "state":
        return STATE_WORDS[value], (Comparison(field, "=", STATE_WORDS[value]),)
    if key in ("split_seed", "search_seed"):
        return str(value), (Comparison(field, "=", float(value)),)
    text = str(value)
    shown = text[:12] if key in ("configuration", "code") else text
    return shown, (Comparison(field, "=", text),)
