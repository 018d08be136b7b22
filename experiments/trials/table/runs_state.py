"""State of a runs table, all of which its address holds.

`filter` is in the filter language, `sort` (several) a column, with - in front for descending,
`col` (several) the columns in their order, each with a width in pixels after @ where one was
chosen, `pin` how many of them stay while the table scrolls, `group` (several) what rows are
grouped by, `experiments` (several) the scope, `archived` whether archived runs are shown,
`facets` whether values are counted, `trials` the ids of ticked runs, `of` how many are ticked
where the address holds some of them, `only` whether others are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.http import QueryDict

from experiments.trials.table.brushes import brush_of, brushed
from experiments.trials.table.filter_language import (
    Comparison,
    Condition,
    Field,
    InvalidFilter,
    all_of,
    canonical,
    condition_text,
    field_of,
    parse,
)

ROWS = (10, 25, 50, 100, 200)  # of a page
USUAL_ROWS, EMBEDDED_ROWS = 25, 10
SLIMMEST, WIDEST = 40, 900  # pixels of a column
MOST_COLUMNS, MOST_SORTS, MOST_GROUPS, MOST_EXPERIMENTS = 120, 4, 4, 50
MOST_TICKED = 500  # that an address holds
_OLD_ORDERS = {"score": "score", "step": "best_step", "seconds": "seconds", "number": "number"}
OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL")


@dataclass(frozen=True, slots=True)
class SortKey:
    """A column to sort by; the better score first unless `descending`."""

    key: str
    descending: bool

    def __str__(self) -> str:
        return f"-{self.key}" if self.descending else self.key


@dataclass(frozen=True, slots=True)
class ChosenColumn:
    key: str
    width: int | None = None

    def __str__(self) -> str:
        return self.key if self.width is None else f"{self.key}@{self.width}"


@dataclass(frozen=True, slots=True)
class RunsState:
    """State of a table; `columns` are empty until somebody chooses them."""

    experiments: tuple[str, ...] = ()
    filter: str = ""
    sort: tuple[SortKey, ...] = ()
    columns: tuple[ChosenColumn, ...] = ()
    pinned: int = 0
    groups: tuple[str, ...] = ()
    page: int = 1
    rows: int = USUAL_ROWS
    usual_rows: int = USUAL_ROWS  # that an address need not say
    archived: bool = False
    ticked: tuple[int, ...] = ()
    ticked_total: int = 0
    only_ticked: bool = False
    facets: bool = False

    def condition(self) -> Condition | None:
        """The filter as a condition.

        Raises:
            InvalidFilter: saying where it cannot be read.
        """
        return parse(self.filter)

    def narrowed(self, more: Condition) -> RunsState:
        """The state with a condition more, on its first page."""
        return replace(self, filter=condition_text(all_of([*_parts(self), more])), page=1)

    def query(self) -> str:
        """The state as the query of an address, what is usual left out."""
        pairs: list[tuple[str, object]] = [("experiments", name) for name in self.experiments]
        pairs += [("filter", self.filter)] if self.filter else []
        pairs += [("sort", key) for key in self.sort]
        pairs += [("col", column) for column in self.columns]
        pairs += [("group", key) for key in self.groups]
        plain = {"pin": self.pinned, "page": self.page - 1 and self.page}
        pairs += [(name, value) for name, value in plain.items() if value]
        if self.rows != self.usual_rows:
            pairs.append(("rows", self.rows))
        if self.archived:
            pairs.append(("archived", 1))
        if self.ticked:
            pairs.append(("trials", ",".join(map(str, self.ticked))))
        if self.ticked_total > len(self.ticked):
            pairs.append(("of", self.ticked_total))
        if self.only_ticked:
            pairs.append(("only", "ticked"))
        if self.facets:
            pairs.append(("facets", 1))
        return urlencode(pairs)


def _parts(state: RunsState) -> list[Condition]:
    condition = state.condition()
    return [] if condition is None else [condition]


def read_state(query: QueryDict, *, rows: int = USUAL_ROWS) -> RunsState:
    """The state that an address asks for; what it cannot mean is left out. `rows`: of a page where
    the address does not say.

    An address may add a condition in parts (`field`, `operator`, `value`), and may be one of the
    earlier table (`state`, `arm`, `order`, `down`). It may brush a field (`between`, with `low`
    and `high`, or `in`, several; without them the field's brush is taken off).
    """
    ticked = ticked_ids(query.get("trials", ""))
    state = RunsState(
        experiments=tuple(dict.fromkeys(filter(None, query.getlist("experiments"))))[
            :MOST_EXPERIMENTS
        ],
        filter=query.get("filter", "").strip(),
        sort=_sort(query),
        columns=tuple(_columns(query.getlist("col"))),
        pinned=_whole(query.get("pin", ""), 0, MOST_COLUMNS),
        groups=tuple(dict.fromkeys(map(canonical, filter(None, query.getlist("group")))))[
            :MOST_GROUPS
        ],
        page=max(1, _whole(query.get("page", ""), 1, 10**7)),
        rows=_rows(query.get("rows", ""), rows),
        usual_rows=rows,
        archived=query.get("archived") == "1",
        ticked=ticked,
        ticked_total=max(len(ticked), _whole(query.get("of", ""), 0, 10**7)) if ticked else 0,
        only_ticked=query.get("only") == "ticked",
        facets=query.get("facets") == "1",
    )
    try:
        for more in _added(query):
            state = replace(state.narrowed(more), page=state.page)
        if query.get("between"):
            brush = brush_of(query.get("low", ""), query.get("high", ""), query.getlist("in"))
            condition = brushed(state.condition(), query.get("between", ""), brush)
            state = replace(state, filter=condition_text(condition), page=1)
    except InvalidFilter:
        pass  # the filter itself says what is wrong with it
    return state


def _whole(text: str, default: int, most: int) -> int:
    return min(int(text), most) if text.isdecimal() and len(text) < 10 else default


def _rows(text: str, usual: int) -> int:
    return int(text) if text in map(str, ROWS) else usual


def _sort(query: QueryDict) -> tuple[SortKey, ...]:
    keys = [
        SortKey(canonical(key.removeprefix("-")), key.startswith("-"))
        for key in query.getlist("sort")
    ]
    old = query.get("order", "")
    if old and not keys:
        key = f"params.{old[2:]}" if old.startswith("p.") else _OLD_ORDERS.get(old, old)
        keys = [SortKey(key, query.get("down") == "1")]
    return tuple({sort_key.key: sort_key for sort_key in keys if sort_key.key}.values())[
        :MOST_SORTS
    ]


def _columns(texts: Iterable[str]) -> Iterable[ChosenColumn]:
    found: dict[str, ChosenColumn] = {}
    for text in texts:
        key, at, width = text.rpartition("@")
        if at and width.isdecimal() and len(width) < 5:
            chosen = ChosenColumn(canonical(key), min(max(int(width), SLIMMEST), WIDEST))
        else:
            chosen = ChosenColumn(canonical(text))
        if chosen.key:
            found.setdefault(chosen.key, chosen)
    return list(found.values())[:MOST_COLUMNS]


def ticked_ids(text: str) -> tuple[int, ...]:
    """Ids of an address, each once."""
    parts = [int(part) for part in text.split(",") if part.isdecimal() and len(part) < 16]
    return tuple(dict.fromkeys(parts))[:MOST_TICKED]


def _added(query: QueryDict) -> Iterable[Condition]:
    """Conditions that an address adds to its filter."""
    for name in ("state", "arm"):
        if query.get(name):
            yield Comparison(Field("attribute", name), "=", query.get(name, ""))
    field, operator = query.get("field", ""), query.get("operator", "=")
    if field and operator in OPERATORS:
        found = field_of(field)
        if operator.startswith("IS"):
            yield Comparison(found, operator, None)
        elif query.get("value", "") != "":
            yield Comparison(found, operator, _constant(found, operator, query.get("value", "")))


def _constant(field: Field, operator: str, text: str) -> str | float:
    """A number where the field holds numbers, or is compared by size."""
    numeric = field.entity in ("metric", "best", "at_best") or field.name in NUMERIC_ATTRIBUTES
    if not numeric and (operator not in ("<", "<=", ">", ">=") or field.entity == "tag"):
        return text
    try:
        return float(text)
    except ValueError:
        return text


NUMERIC_ATTRIBUTES = (
    *("number", "score", "seconds", "best_step", "attempt", "evaluations", "peak_memory_mb"),
    *("train_seed", "split_seed", "search_seed", "start_time", "end_time", "created"),
)
