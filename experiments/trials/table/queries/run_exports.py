"""Runs of a table for a file, read in pieces, and the way from ticked runs to their seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from experiments.errors import Conflict
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
MOST_CANDIDATES = 10


def names_of(columns: Sequence[Column]) -> list[str]:
    """Names of a file's columns: the fields of the filter language, so that each is once."""
    return ["run", "id", *(column.key for column in columns)]


def exported_runs(
    scope: RunScope, state: RunsState, columns: Sequence[Column], ticked: Sequence[int]
) -> Iterator[list[list[object]]]:
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
) -> Iterator[list[list[object]]]:
    for start in range(0, len(keys), PIECE):
        found = run_rows(scope, keys[start : start + PIECE], columns)
        yield [[row.name, row.id, *(_value(cell) for cell in row.cells)] for row in found]


def _value(cell: Cell) -> object:
    if cell.column.kind == "chips":
        return ", ".join(word for word, _ in cell.words)
    return None if cell.value == "" else cell.value


def seeds_of(access: Access, run_ids: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    """The experiment of ticked runs and those to repeat over seeds: the first run of each
    configuration, as ticked.

    Raises:
        Conflict: saying why these runs cannot be repeated together.
    """
    rows = shown_runs(access.project_id).filter(pk__in=run_ids[:1000])
    names = ("study__experiment__name", "study__experiment__archived_at", "archived_at")
    found = {row[0]: row[1:] for row in rows.values_list("pk", *names, "configuration", "value")}
    experiments = {row[0] for row in found.values()}
    if len(experiments) != 1:
        raise Conflict("Repeat over seeds: tick runs of one experiment; these are of several.")
    name = experiments.pop()
    if name is None:
        raise Conflict(
            "Repeat over seeds: these runs belong to a study without an experiment, so Verdict "
            "knows no code to run them with. Create an experiment with their parameters."
        )
    if any(row[1] for row in found.values()):
        raise Conflict(f"Repeat over seeds: {name} is archived. List it again first.")
    if any(row[2] for row in found.values()):
        raise Conflict("Repeat over seeds: archived runs are among these. Restore them first.")
    unscored = sum(row[3] is None or row[4] is None for row in found.values())
    if unscored:
        count = f"{unscored} of these runs has" if unscored == 1 else f"{unscored} of these have"
        raise Conflict(f"Repeat over seeds: {count} no score. Tick complete runs.")
    first = {found[key][3]: key for key in reversed(run_ids) if key in found}
    if len(first) > MOST_CANDIDATES:
        raise Conflict(
            f"Repeat over seeds: at most {MOST_CANDIDATES} candidates at once, found {len(first)}."
        )
    return name, tuple(key for key in run_ids if key in first.values())
