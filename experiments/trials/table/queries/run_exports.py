"""Runs of a table for a file, read in pieces, and the way from ticked runs to their seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from experiments.errors import Conflict
from experiments.models.trial import StudyKind
from experiments.team.queries.access import Access
from experiments.trials.table.columns import Column
from experiments.trials.table.queries.run_rows import Cell, run_rows
from experiments.trials.table.queries.run_scope import (
    RunScope,
    in_order,
    matching,
    runs_in,
    shown_runs,
)
from experiments.trials.table.runs_state import RunsState

PIECE = 500
MOST_CANDIDATES = 8


def names_of(columns: Sequence[Column]) -> list[str]:
    """Names of a file's columns: the fields of the filter language, so that each is once."""
    return ["run", "id", *(column.key for column in columns)]


def exported_runs(
    scope: RunScope, state: RunsState, columns: Sequence[Column], ticked: Sequence[int]
) -> Iterator[list[list[Any]]]:
    """Pieces of rows: the ticked runs in the order of the table, else all that it shows.

    Raises:
        InvalidFilter: saying what is wrong with the filter.
    """
    rows = runs_in(scope, archived=state.archived) if ticked else matching(scope, state)
    keys = list(in_order(rows, scope, state).values_list("pk", flat=True))
    if ticked:
        wanted = set(ticked)
        keys = [key for key in keys if key in wanted]
    return _pieces(scope, keys, columns)


def _pieces(
    scope: RunScope, keys: Sequence[int], columns: Sequence[Column]
) -> Iterator[list[list[Any]]]:
    for start in range(0, len(keys), PIECE):
        found = run_rows(scope, keys[start : start + PIECE], columns)
        yield [[row.name, row.id, *(_value(cell) for cell in row.cells)] for row in found]


def _value(cell: Cell) -> Any:
    if cell.column.kind == "chips":
        return ", ".join(word for word, _ in cell.words)
    return None if cell.value == "" else cell.value


def seeds_of(access: Access, run_ids: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    """The experiment of ticked runs and those that may be repeated over seeds, as ticked.

    Raises:
        Conflict: when they belong to several experiments, or to none.
    """
    rows = shown_runs(access.project_id).filter(
        pk__in=run_ids[:1000], study__kind=StudyKind.SEARCH
    )
    found = dict(rows.values_list("pk", "study__experiment__name"))
    names = {name for name in found.values() if name}
    if len(names) != 1:
        raise Conflict("Repeating over seeds is for runs of one experiment: tick such ones.")
    return names.pop(), tuple(key for key in run_ids if key in found)[:MOST_CANDIDATES]
