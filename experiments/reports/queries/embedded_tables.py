"""Tables of a report: those of runs, of groups and of comparisons as rows of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.http import QueryDict

from experiments.design.metrics import Metric, scores_on_test
from experiments.design.queries.records import ExperimentRecord
from experiments.models import Experiment
from experiments.team.queries.access import Access
from experiments.trials.panels.compared_rows import Cell as ComparedCell
from experiments.trials.panels.run_comparison import RunComparison
from experiments.trials.panels.run_table import RunTable, run_table
from experiments.trials.panels.side_by_side import SpaceRow
from experiments.trials.table.columns import Column
from experiments.trials.table.filter_language import (
    Comparison,
    Condition,
    Field,
    InvalidFilter,
    field_of,
)
from experiments.trials.table.panel_layout import panel_of
from experiments.trials.table.queries.run_groups import Spread
from experiments.trials.table.queries.run_rows import Cell
from experiments.trials.table.queries.run_scope import RunScope, scope_of
from experiments.web.formatting import (
    NOTHING,
    counted,
    deviation,
    duration,
    mean,
    moment,
    number,
    score,
)

TEST_ASKED = "This table asks for a test score: reports show none."
_METRICS = ("metric", "best", "at_best", "highest", "lowest")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under heads; `numbers` are the places of columns of numbers."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()
    note: str = ""


def runs_table(access: Access, query: QueryDict, names: Sequence[str]) -> Table | str:
    """The runs table of an address, as it is; a sentence where there is none to show.

    Raises:
        NotFound: for an experiment that the project does not have.
    """
    scope = scope_of(access, names)
    table = run_table(scope, query)
    if table.error:
        return table.error
    if _asks_for_test(table):
        return TEST_ASKED
    return _groups(table) if table.groups is not None else _rows(access, table)


def _asks_for_test(table: RunTable) -> bool:
    """Test whether rows are chosen, ordered or grouped by a test score."""
    scope, state = table.scope, table.state
    if any(
        scores_on_test(experiment.official_metric, experiment.metrics)
        for experiment in scope.experiments
    ):
        return True
    if scores_on_test(scope.metric, scope.declared):
        return True
    keys = [*(key.key for key in state.sort), *state.groups]
    fields = _fields(state.condition())
    return any(_scores_test(field, scope) for field in fields) or any(
        _is_test(key, scope) for key in keys
    )


def _fields(condition: Condition | None) -> Iterator[Field]:
    """Fields that a filter compares."""
    if isinstance(condition, Comparison):
        yield condition.field
    elif condition is not None:
        for part in condition.parts:
            yield from _fields(part)


def _is_test(key: str, scope: RunScope) -> bool:
    try:
        return _scores_test(field_of(key), scope)
    except InvalidFilter:
        return False


def _scores_test(field: Field, scope: RunScope) -> bool:
    return field.entity in _METRICS and scores_on_test(field.name, scope.declared)


def draws_test(access: Access, scope: RunScope, what: str) -> bool:
    """Test whether a panel beside a runs table draws test scores. Its curves never do."""
    kind, _, _ = what.partition(":")
    if kind == "curves":
        return False
    keys = panel_of(what).columns
    scores = "score" in keys
    mixed = scores and not scope.experiments and _scores_on_test_somewhere(access)
    return mixed or any(_is_test(key, scope) for key in keys)


def _scores_on_test_somewhere(access: Access) -> bool:
    rows = Experiment.objects.filter(project_id=access.project_id).order_by()
    names = rows.values_list("official_metric", flat=True).distinct()
    return any(scores_on_test(name, {}) for name in names)


def _rows(access: Access, table: RunTable) -> Table:
    assert table.page is not None  # the table is of single runs
    columns = [column for column in table.columns if not _is_test(column.key, table.scope)]
    keys = {column.key for column in columns}
    tested = _tested(access, table)
    rows = []
    for row in table.page.rows:
        cells = [cell for cell in row.cells if cell.column.key in keys]
        name = f"{row.name} {row.run_name}".strip()
        rows.append((name, *(_text(cell, row.experiment in tested) for cell in cells)))
    heads = ("run", *(_head(column) for column in columns))
    numbers = [place for place, column in enumerate(columns, 1) if column.is_number]
    return Table("", heads, rows, numbers, _shown(len(rows), table.total, "run,runs"))


def _tested(access: Access, table: RunTable) -> set[str]:
    """Experiments among the rows whose scores are test scores."""
    rows = table.page.rows if table.page else ()
    names = list(dict.fromkeys(row.experiment for row in rows if row.experiment))
    found = scope_of(access, names).experiments
    return {
        experiment.name
        for experiment in found
        if scores_on_test(experiment.official_metric, experiment.metrics)
    }


def _groups(table: RunTable) -> Table:
    measures = [column for column in table.measures if not _is_test(column.key, table.scope)]
    rows = [
        (
            *row.group.labels,
            str(row.group.count),
            *(_spread(row.group.spreads.get(column.key), column) for column in measures),
        )
        for row in table.group_rows
    ]
    heads = [*(_head(column) for column in table.group_keys), "runs", *map(_head, measures)]
    first = len(table.group_keys)
    note = _shown(len(rows), table.total, "group,groups")
    return Table(
        "", heads, rows, tuple(range(first, len(heads))), f"Mean ± standard deviation. {note}"
    )


def _shown(shown: int, total: int, words: str) -> str:
    return f"{shown:,} of {counted(total, words)}." if shown < total else ""


def _head(column: Column) -> str:
    return f"{column.title} ({column.detail})" if column.detail else column.title


def _text(cell: Cell, tested: bool) -> str:
    kind, value = cell.column.kind, cell.value
    if kind == "score":
        return NOTHING if tested else score(value)
    if kind == "duration":
        return duration(value if isinstance(value, int | float) else None)
    if kind == "moment":
        return str(moment(value)) if isinstance(value, datetime) else ""
    if kind == "chips":
        return ", ".join(word for word, _ in cell.words)
    return "" if value in ("", None) else number(value)


def _spread(spread: Spread | None, column: Column) -> str:
    if spread is None or not spread.count:
        return NOTHING
    if column.kind == "duration":
        return duration(spread.mean)
    words = mean(spread.mean, spread.deviation)
    return words if spread.deviation is None else f"{words} ± {deviation(spread.deviation)}"


def sections_table(compared: RunComparison, declared: Mapping[str, Metric]) -> Table:
    """Differences between compared runs, metrics first."""
    rows = [
        (row.name, *(_compared(cell) for cell in row.cells))
        for section in compared.sections
        for row in section.rows
        if not (section.title == "Metrics" and scores_on_test(row.name, declared))
    ]
    heads = ["", *(run.label for run in compared.runs)]
    several = len(compared.runs) > 1
    note = "Differences to the first run." if several else ""
    return Table("", heads, rows, tuple(range(1, len(heads))), note)


def _compared(cell: ComparedCell) -> str:
    note = ", ".join(filter(None, (cell.note, cell.percent, cell.deviations)))
    return f"{cell.text} ({note})" if note else cell.text


def searches_tables(
    first: ExperimentRecord, second: ExperimentRecord, space: Sequence[SpaceRow]
) -> list[Table]:
    """Two searches side by side: what each is, then their spaces, what differs first."""
    both = (first, second)
    rows = [
        ("goal", *(one.goal for one in both)),
        ("state", *(one.state for one in both)),
        ("best score", *(f"{one.official_metric} {score(one.best_value)}" for one in both)),
        ("trials", *(f"{one.complete_count:,} complete" for one in both)),
        ("sampler", *(one.sampler for one in both)),
    ]
    heads = ("", first.name, second.name)
    of_space = [(row.name, row.first, row.second, row.difference or "same") for row in space]
    tables = [Table("The searches", heads, rows)]
    if of_space:
        spaces = ("hyperparameter", first.name, second.name, "difference")
        tables.append(Table("The search spaces", spaces, of_space))
    return tables
