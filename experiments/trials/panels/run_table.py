"""A runs table as pages show it: head, rows or groups, chips of the filter, choices of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from django.http import QueryDict

from experiments.trials.table.brushes import chips_of
from experiments.trials.table.columns import FACTS, RUN, Column, column_of
from experiments.trials.table.filter_language import (
    InvalidFilter,
    condition_text,
)
from experiments.trials.table.queries.filtered_trials import ATTRIBUTES
from experiments.trials.table.queries.run_facets import Facet, FacetValue, facets
from experiments.trials.table.queries.run_groups import COUNT, RunGroup, group_page, known_groups
from experiments.trials.table.queries.run_groups import measures as measures_of
from experiments.trials.table.queries.run_rows import RunRow, run_page, run_rows
from experiments.trials.table.queries.run_scope import RunFields, RunScope, fields_in
from experiments.trials.table.runs_state import (
    EMBEDDED_ROWS,
    OPERATORS,
    USUAL_ROWS,
    RunsState,
    SortKey,
    read_state,
    ticked_ids,
)
from experiments.web.pagination import Page

SHOWN_PARAMETERS = 6
# What an address holds of the table; the rest of it belongs to the page around.
_OWN = {
    *("experiments", "filter", "sort", "col", "pin", "group", "page", "rows", "archived"),
    *("trials", "of", "only", "field", "operator", "value", "state", "arm", "order", "down"),
    *("since", "columns", "embedded", "facets", "view", "between", "low", "high", "in"),
}


@dataclass(frozen=True, slots=True)
class Head:
    """Head of a column; `order` is ascending, descending or empty, `place` among several keys."""

    column: Column
    width: int | None
    pinned: bool
    order: str
    place: int
    query: str
    more_query: str  # sorts by it after the present keys


@dataclass(frozen=True, slots=True)
class Chip:
    """One condition of the filter; `query` is the address without it."""

    text: str
    query: str


@dataclass(frozen=True, slots=True)
class GroupRow:
    group: RunGroup
    query: str  # the runs of the group


@dataclass(frozen=True, slots=True)
class RunTable:
    """A runs table. `error` says why a filter cannot be read; then there are no rows."""

    scope: RunScope
    state: RunsState
    fields: RunFields
    columns: Sequence[Column]
    heads: Sequence[Head]
    page: Page[RunRow] | None = None
    groups: Page[RunGroup] | None = None
    group_rows: Sequence[GroupRow] = ()
    group_keys: Sequence[Column] = ()
    measures: Sequence[Column] = ()
    chips: Sequence[Chip] = ()
    facets: Sequence[Facet] | None = None
    error: str = ""
    embedded: bool = False
    carried: Sequence[tuple[str, str]] = field(default=(), repr=False)

    @property
    def left_out(self) -> int:
        """Ticked runs that the address has no room for, so that the table cannot show them."""
        return self.state.ticked_total - len(self.state.ticked) if self.state.only_ticked else 0

    @property
    def pager(self) -> Page[RunRow] | Page[RunGroup] | None:
        return self.groups if self.groups is not None else self.page

    @property
    def total(self) -> int:
        return self.pager.total if self.pager else 0

    def address(self, state: RunsState) -> str:
        """The query of the address of this page in another state."""
        shown = replace(state, experiments=()) if self.embedded else state
        return "&".join(filter(None, [urlencode(self.carried), shown.query()]))

    def _with(self, **changes: object) -> str:
        return self.address(replace(self.state, **{"page": 1, **changes}))  # type: ignore[arg-type]

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """Names and values of the state but for the filter, as a form carries them."""
        return _pairs(self._with(filter=""))

    @property
    def with_filter(self) -> list[tuple[str, str]]:
        return _pairs(self._with())

    @property
    def without_rows(self) -> list[tuple[str, str]]:
        return _pairs(self._with(rows=self.state.usual_rows))

    @property
    def facet_switch(self) -> str:
        return self._with(facets=not self.state.facets)

    @property
    def usual_columns(self) -> str:
        return self._with(columns=(), pinned=0)

    @property
    def without_columns(self) -> list[tuple[str, str]]:
        return _pairs(self._with(columns=(), pinned=0))

    @property
    def without_groups(self) -> list[tuple[str, str]]:
        return _pairs(self._with(groups=(), sort=()))

    @property
    def own_query(self) -> str:
        """The state alone, without page and ticks: what a view saves and an export reads."""
        bare = replace(self.state, page=1, ticked=(), ticked_total=0, only_ticked=False)
        return bare.query()

    @property
    def canonical(self) -> str:
        """The address of the table as it is, as the script keeps it."""
        return self.address(self.state)

    @property
    def has_views(self) -> bool:
        return not self.embedded

    @property
    def cleared(self) -> str:
        return self._with(filter="")

    @property
    def ungrouped(self) -> str:
        return self._with(groups=(), sort=())

    @property
    def archive_switch(self) -> str:
        return self._with(archived=not self.state.archived)

    @property
    def ticked_switch(self) -> str:
        return self._with(only_ticked=not self.state.only_ticked)

    @property
    def previous(self) -> str:
        return self.address(replace(self.state, page=self.pager.number - 1 if self.pager else 1))

    @property
    def next(self) -> str:
        return self.address(replace(self.state, page=self.pager.number + 1 if self.pager else 1))

    @property
    def choosable(self) -> list[tuple[str, list[tuple[Column, bool]]]]:
        """Every column under its heading, and whether it is shown."""
        shown = {column.key for column in self.columns}
        parts = {
            "Run": [fact.key for fact in FACTS],
            "Parameters": [f"params.{name}" for name in self.fields.parameters],
            "Metrics": [
                f"{kind}.{name}"
                for name in self.fields.metrics
                for kind in ("metrics", "best", "at_best")
            ],
            "Tags": [f"tags.{name}" for name in self.fields.tags],
        }
        found = []
        for title, keys in parts.items():
            known = (column_of(key, metric=self.scope.metric) for key in keys)
            columns = [(column, column.key in shown) for column in known if column is not None]
            if columns:
                found.append((title, columns))
        return found

    @property
    def groupable(self) -> list[tuple[Column, bool]]:
        """Columns by which runs can be grouped, and whether they are."""
        return [
            (column, column.key in self.state.groups)
            for _, columns in self.choosable
            for column, _ in columns
            if column.groups
        ]

    @property
    def words(self) -> dict[str, object]:
        """Fields, operators and known values for the completion of a filter."""
        named = [f"params.{name}" for name in self.fields.parameters]
        named += [
            f"{kind}.{name}"
            for name in self.fields.metrics
            for kind in ("metrics", "best", "at_best")
        ]
        named += [f"tags.{name}" for name in self.fields.tags]
        values = {f"params.{name}": list(seen) for name, seen in self.fields.values.items()}
        values["state"] = ["complete", "running", "waiting", "pruned", "failed"]
        values["experiment"] = [experiment.name for experiment in self.scope.experiments]
        return {
            "fields": [*ATTRIBUTES, *named],
            "operators": [*OPERATORS, "IN", "NOT IN"],
            "values": values,
        }


def run_table(scope: RunScope, query: QueryDict, *, embedded: bool = False) -> RunTable:
    """The table that an address asks for."""
    state = read_state(query, rows=EMBEDDED_ROWS if embedded else USUAL_ROWS)
    state = replace(
        state,
        experiments=tuple(experiment.name for experiment in scope.experiments),
        groups=known_groups(state.groups),
    )
    fields = fields_in(scope)
    columns = chosen_columns(scope, state, fields)
    table = RunTable(
        scope=scope,
        state=state,
        fields=fields,
        columns=columns,
        heads=(),
        embedded=embedded,
        carried=_carried(query),
    )
    try:
        table = replace(table, chips=_chips(table), **_rows(table))  # type: ignore[arg-type]
        if state.facets:
            table = replace(table, facets=_facets(table))
    except InvalidFilter as error:
        table = replace(table, error=error.message)
    return replace(table, heads=_heads(table))


def single_row(scope: RunScope, query: QueryDict, run_id: int) -> RunRow | None:
    """One run as the table of an address shows it; None of a run that is gone."""
    columns = chosen_columns(scope, read_state(query), fields_in(scope))
    return next(iter(run_rows(scope, [run_id], columns)), None)


def _rows(table: RunTable) -> Mapping[str, object]:
    scope, state = table.scope, table.state
    if not state.groups:
        return {"page": run_page(scope, state, table.columns)}
    found = group_page(scope, state, table.columns)
    plain = replace(state, groups=(), sort=(), page=1)
    rows = [GroupRow(row, table.address(plain.narrowed(row.condition))) for row in found.rows]
    keys = [column_of(key, metric=scope.metric) for key in state.groups]
    return {
        "groups": found,
        "group_rows": rows,
        "group_keys": [replace(key, kind="text") for key in keys if key is not None],
        "measures": measures_of(table.columns),
    }


def _facets(table: RunTable) -> list[Facet]:
    """Facets whose addresses are of the page around."""
    return [
        replace(facet, values=[_addressed(table, value) for value in facet.values])
        for facet in facets(table.scope, table.state)
    ]


def _addressed(table: RunTable, value: FacetValue) -> FacetValue:
    if not value.query:
        return value
    state = read_state(QueryDict(value.query), rows=table.state.usual_rows)
    return replace(value, query=table.address(state))


def _pairs(query: str) -> list[tuple[str, str]]:
    found = QueryDict(query)
    return [(name, value) for name, values in found.lists() for value in values]


def _carried(query: QueryDict) -> list[tuple[str, str]]:
    """Parameters of an address beside the table's; `trials` too, where it names no ids."""
    return [
        (name, value)
        for name, values in query.lists()
        for value in values
        if name not in _OWN or (name == "trials" and not ticked_ids(value))
    ]


def chosen_columns(scope: RunScope, state: RunsState, fields: RunFields) -> list[Column]:
    """The columns of a state; usual ones until somebody has chosen."""
    keys: Iterable[str] = [column.key for column in state.columns] or _usual(scope, fields)
    found = (column_of(key, metric=scope.metric) for key in keys)
    return [column for column in found if column is not None]


def _usual(scope: RunScope, fields: RunFields) -> list[str]:
    keys = ["state"]
    single = scope.single
    if single is None:
        keys.append("experiment")
    keys += ["score"]
    searched = single.parameters if single and single.parameters else fields.parameters
    keys += [f"params.{name}" for name in searched[:SHOWN_PARAMETERS]]
    if not scope.metric:
        keys += [f"metrics.{name}" for name in fields.metrics[:3]]
    if single and single.code_versions > 1:
        keys.append("code")
    if fields.tags:
        keys.append("tags")
    if fields.has_notes:
        keys.append("note")
    return [*keys, "best_step", "finding", "seconds"]


def _chips(table: RunTable) -> list[Chip]:
    return [
        Chip(text, table.address(replace(table.state, filter=condition_text(rest), page=1)))
        for text, rest in chips_of(table.state.condition())
    ]


def _heads(table: RunTable) -> list[Head]:
    widths = {column.key: column.width for column in table.state.columns}
    columns = table.measures if table.groups is not None else [RUN, *table.columns]
    pinned = 0 if table.groups is not None else table.state.pinned + 1
    heads = [
        _head(table, column, widths.get(column.key), place < pinned)
        for place, column in enumerate(columns)
    ]
    if table.groups is None:
        return heads
    keys = [_head(table, key, widths.get(key.key), pinned=True) for key in table.group_keys]
    count = Column(COUNT, "runs", "number")
    return [*keys, _head(table, count, None, pinned=False), *heads]


def _head(table: RunTable, column: Column, width: int | None, pinned: bool) -> Head:
    keys = {sort.key: sort for sort in table.state.sort}
    present = keys.get(column.key)
    usual = not keys and column.key == "score"
    order, place = "", 0
    if usual or present:
        descending = present.descending if present else False
        # Scores stand best first, which their arrow shows as downwards.
        down = not descending if column.key == "score" else descending
        order = "descending" if down else "ascending"
        place = list(keys).index(column.key) + 1 if len(keys) > 1 else 0
    turned = SortKey(column.key, bool((present or usual) and not (present and present.descending)))
    more = {**keys, column.key: turned}
    return Head(
        column=column,
        width=width,
        pinned=pinned,
        order=order,
        place=place,
        query=table.address(replace(table.state, sort=(turned,), page=1)),
        more_query=table.address(replace(table.state, sort=tuple(more.values()), page=1)),
    )
