"""Runs that charts beside a table draw as points, bars or lines, with their values by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from experiments.trials.table.brushes import unbrushed
from experiments.trials.table.columns import Column
from experiments.trials.table.filter_language import condition_text
from experiments.trials.table.queries.drawn_runs import MOST_GROUPS, DrawnRuns
from experiments.trials.table.queries.filtered_trials import condition_of
from experiments.trials.table.queries.run_rows import RunRow, run_rows
from experiments.trials.table.queries.run_scope import RunScope, in_order, matching
from experiments.trials.table.runs_state import RunsState

MOST_POINTS = 1000  # runs of a chart


@dataclass(frozen=True, slots=True)
class ChosenRuns:
    """Ids of runs to draw, and of how many they were chosen; `sides`: the group of each, where
    runs are grouped.
    """

    keys: Sequence[int]
    total: int
    sides: Mapping[int, str] = field(default_factory=dict, repr=False)
    words: str = ""


@dataclass(frozen=True, slots=True)
class RunPoints:
    """Runs [N] and their values [N] by the key of a column."""

    rows: Sequence[RunRow]
    values: Mapping[str, Sequence[object]] = field(repr=False)
    chosen: ChosenRuns


def runs_of_points(scope: RunScope, state: RunsState, drawn: DrawnRuns) -> ChosenRuns:
    """The runs that the filter lets through, with those whose curves are drawn. Of more than
    `MOST_POINTS` the first of the table and an even draw of the rest. Of groups those whose curves
    are drawn. Two queries, or one for each group.

    Raises:
        InvalidFilter: saying what is wrong with the filter.
    """
    if drawn.groups:
        return _of_groups(scope, state, drawn)
    rows = matching(scope, state)
    ids = list(rows.order_by("pk").values_list("pk", flat=True))
    own = [trial.id for trial in drawn.trials]
    if len(ids) <= MOST_POINTS:
        return ChosenRuns(list(dict.fromkeys([*own, *ids])), len(ids))
    leading = in_order(rows, scope, state).values_list("pk", flat=True)[: MOST_POINTS // 3]
    first = dict.fromkeys([*own, *leading])
    rest = [key for key in ids if key not in first]
    keys = [*first, *_evenly(rest, MOST_POINTS - len(first))]
    words = (
        f"{len(keys):,} of {len(ids):,} runs drawn: the table's first and an even draw of the rest"
    )
    return ChosenRuns(keys, len(ids), words=words)


def _evenly(keys: Sequence[int], most: int) -> list[int]:
    return [keys[place * len(keys) // most] for place in range(most)]


def _of_groups(scope: RunScope, state: RunsState, drawn: DrawnRuns) -> ChosenRuns:
    groups = drawn.groups[:MOST_GROUPS]
    most = MOST_POINTS // len(groups)
    sides: dict[int, str] = {}
    for group in groups:
        rows = matching(scope, state).filter(condition_of(group.condition))
        newest = rows.order_by("-pk").values_list("pk", flat=True)[:most]
        sides |= dict.fromkeys(newest, group.name)
    total = sum(group.count for group in groups)
    words = ""
    if len(sides) < total:
        words = f"{len(sides):,} of {total:,} runs drawn: at most {most:,} newest of each group"
    return ChosenRuns(list(sides), total, sides, words)


def without_brushes(state: RunsState, keys: Sequence[str]) -> RunsState:
    """The state with the brushes of these columns taken off: lines outside them are drawn faint.

    Raises:
        InvalidFilter: where the filter cannot be read.
    """
    return replace(state, filter=condition_text(unbrushed(state.condition(), keys)))


def first_runs(scope: RunScope, state: RunsState, most: int) -> ChosenRuns:
    """Ticked runs, else the table's first ones, in its order. Two queries."""
    shown = replace(state, only_ticked=True, filter="") if state.ticked else state
    ordered = in_order(matching(scope, shown), scope, shown).values_list("pk", flat=True)
    keys = list(ordered[:most])
    total = len(keys) if len(keys) < most else matching(scope, shown).count()
    words = f"First {most} of {total:,} runs in the table's order" if len(keys) < total else ""
    return ChosenRuns(keys, total, words=words)


def read_points(scope: RunScope, chosen: ChosenRuns, columns: Sequence[Column]) -> RunPoints:
    """Values of the chosen runs; those that are gone are left out. A few queries."""
    rows = run_rows(scope, chosen.keys, columns)
    values = {
        column.key: [row.cells[place].value for row in rows]
        for place, column in enumerate(columns)
    }
    return RunPoints(rows, values, chosen)
