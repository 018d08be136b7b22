"""A page of a runs table: rows with a cell for each column, whatever the number of runs.

The queries are a few for a page, and none for a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, QuerySet, Window

from experiments.design.configuration import short_code
from experiments.design.queries.experiments import arm_label
from experiments.design.trial_names import arm_letter, other_trial_name, trial_name
from experiments.models import LatestMetric, RunDataset, Trial
from experiments.models.trial import StudyKind, TrialState
from experiments.models.trial_encoding import decode
from experiments.trials.findings.queries.findings import fired_by_trial
from experiments.trials.table.columns import Column
from experiments.trials.table.filter_language import field_of
from experiments.trials.table.queries.filtered_trials import NOTE
from experiments.trials.table.queries.run_scope import (
    RunScope,
    count_arms_of,
    in_order,
    matching,
)
from experiments.trials.table.queries.trial_table import STATE_WORDS
from experiments.trials.table.run_tags import tag_lines
from experiments.trials.table.runs_state import RunsState
from experiments.web.pagination import Page, PageOf, page_bounds

_FIELDS = (
    *("id", "number", "state", "study_id", "parameters", "value", "latest_value", "latest_step"),
    *("best_step", "seconds", "started_at", "finished_at", "run_name", "origin", "failure_reason"),
    *("device", "train_seed", "split_seed", "search_seed", "attempt", "evaluations"),
    *("peak_memory_mb", "archived_at", "study__kind", "study__arm_index", "study__arm"),
    *("study__experiment_id", "study__experiment__name"),
)
# Fields that only some columns need.
_MORE = {
    "worker": ("worker__name",),
    "configuration": ("configuration__digest",),
    "code": ("configuration__document",),
    "tags": ("user_attributes",),
    "note": ("user_attributes",),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A value under a column; `words` are chips with a severity each, `title` its whole text."""

    column: Column
    value: object
    words: Sequence[tuple[str, str]] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run; `study` is that of one which stands in no experiment, whose page it has."""

    id: int
    name: str
    run_name: str
    state: str
    experiment: str
    study: int | None
    is_best: bool
    archived: bool
    cells: Sequence[Cell] = field(repr=False)


def run_page(scope: RunScope, state: RunsState, columns: Sequence[Column]) -> Page[RunRow]:
    """The page of runs that a state asks for.

    Raises:
        InvalidFilter: saying what is wrong with the filter.
    """
    rows = matching(scope, state)
    if state.filter:
        number, total, keys = _filtered(rows, scope, state)
    else:
        total = rows.count()
        number, start, end = page_bounds(PageOf(state.page, state.rows), total)
        keys = list(in_order(rows, scope, state).values_list("pk", flat=True)[start:end])
    return Page(run_rows(scope, keys, columns), number, total, state.rows)


def _filtered(
    rows: QuerySet[Trial], scope: RunScope, state: RunsState
) -> tuple[int, int, list[int]]:
    """Number of the page, number of rows, ids: counted beside the rows, so that the filter looks
    at each trial once.
    """
    counted = in_order(rows, scope, state).annotate(total=Window(Count("pk")))
    start = (state.page - 1) * state.rows
    found = list(counted.values_list("pk", "total")[start : start + state.rows])
    if found or state.page == 1:
        return state.page, found[0][1] if found else 0, [key for key, _ in found]
    total = rows.count()  # a page beyond the last one
    number, start, end = page_bounds(PageOf(state.page, state.rows), total)
    keys = list(in_order(rows, scope, state).values_list("pk", flat=True)[start:end])
    return number, total, keys


def run_rows(scope: RunScope, keys: Sequence[int], columns: Sequence[Column]) -> list[RunRow]:
    """Runs by their ids, in that order; those that are gone are left out."""
    asked = {extra for column in columns for extra in _MORE.get(column.key, ())}
    if any(column.key.startswith("tags.") for column in columns):
        asked.add("user_attributes")
    found = {row["id"]: row for row in _values(keys, asked)}
    rows = [found[key] for key in keys if key in found]
    related = _Related.read(keys, columns)
    arms = count_arms_of(sorted({r["study__experiment_id"] for r in rows} - {None}))
    best = {experiment.best_trial_id for experiment in scope.experiments}
    maximized = scope.maximized()
    return [_row(row, columns, arms, best, related, maximized) for row in rows]


def _values(keys: Sequence[int], more: Iterable[str]) -> Iterable[dict[str, Any]]:
    rows: Iterable[dict[str, Any]] = Trial.objects.filter(pk__in=keys).values(
        *_FIELDS, *sorted(more)
    )
    return rows


@dataclass(frozen=True, slots=True)
class _Related:
    """Records beside the runs of a page, each read only where a column shows it."""

    metrics: Mapping[tuple[int, str], tuple[float | None, ...]]
    findings: Mapping[int, tuple[tuple[str, str], ...]]
    datasets: Mapping[int, list[str]]

    @classmethod
    def read(cls, keys: Sequence[int], columns: Sequence[Column]) -> _Related:
        names = {
            found.name
            for column in columns
            if (found := field_of(column.key)).entity in ("metric", "best", "at_best")
        }
        metrics: dict[tuple[int, str], tuple[float | None, ...]] = {}
        if names:
            rows = LatestMetric.objects.filter(trial_id__in=keys, name__in=names)
            for row in rows.values_list(
                "trial_id", "name", "value", "lowest", "highest", "at_best"
            ):
                metrics[row[0], row[1]] = row[2:]
        shown = {column.key for column in columns}
        datasets: dict[int, list[str]] = {}
        if "data" in shown:
            for pk, name in RunDataset.objects.filter(trial_id__in=keys).values_list(
                "trial_id", "name"
            ):
                datasets.setdefault(pk, []).append(name)
        return cls(metrics, fired_by_trial(keys) if "finding" in shown else {}, datasets)


def _row(
    row: Mapping[str, Any],
    columns: Sequence[Column],
    arms: Mapping[int, int],
    best: set[int | None],
    related: _Related,
    maximized: Callable[[str], bool],
) -> RunRow:
    experiment = row["study__experiment_id"]
    parameters = {**decode(row["study__arm"]), **decode(row["parameters"])}
    tags = decode(row.get("user_attributes", "{}"))
    plain = _facts(row, arms.get(experiment, 1))
    cells = []
    for column in columns:
        found = field_of(column.key)
        if found.entity == "parameter":
            cells.append(_text_cell(column, parameters.get(found.name)))
        elif found.entity == "tag":
            cells.append(_text_cell(column, tags.get(found.name)))
        elif found.entity in ("metric", "best", "at_best"):
            values = related.metrics.get((row["id"], found.name))
            cells.append(Cell(column, _metric(values, found.entity, maximized(found.name))))
        elif column.key == "finding":
            cells.append(Cell(column, None, related.findings.get(row["id"], ())))
        elif column.key == "tags":
            cells.append(Cell(column, None, [(line, "") for line in tag_lines(tags)]))
        elif column.key == "note":
            cells.append(_text_cell(column, tags.get(NOTE)))
        elif column.key == "data":
            cells.append(_text_cell(column, ", ".join(related.datasets.get(row["id"], ()))))
        else:
            cells.append(_fact_cell(column, plain, row))
    return RunRow(
        id=row["id"],
        name=plain["run"],
        run_name=row["run_name"],
        state=plain["state"],
        experiment=row["study__experiment__name"] or "",
        study=None if row["study__experiment__name"] else row["study_id"],
        is_best=row["id"] in best,
        archived=row["archived_at"] is not None,
        cells=cells,
    )


def _text_cell(column: Column, value: object) -> Cell:
    if value is None or value == "":
        return Cell(column, "")
    if isinstance(value, bool | int | float):
        return Cell(column, value)
    text = str(value)
    return Cell(column, text, title=text if len(text) > 20 else "")


def _fact_cell(column: Column, plain: Mapping[str, Any], row: Mapping[str, Any]) -> Cell:
    value = plain.get(column.key)
    if column.key == "score" and value is None and row["failure_reason"]:
        return Cell(column, None, title=row["failure_reason"])
    if column.kind in ("text", "hash"):
        return _text_cell(column, value)
    return Cell(column, value)


def _facts(row: Mapping[str, Any], arms: int) -> dict[str, Any]:
    running = row["state"] == TrialState.RUNNING
    of_search = row["study__kind"] == StudyKind.SEARCH
    label = arm_label(row["study__arm"])
    letter = arm_letter(row["study__arm_index"])
    return {
        "run": trial_name(row["number"], arm=row["study__arm_index"], arms=arms)
        if of_search
        else other_trial_name(row["study_id"], row["number"]),
        "state": STATE_WORDS[row["state"]],
        "experiment": row["study__experiment__name"],
        "arm": f"{letter}: {label}" if arms > 1 else "",
        "score": row["latest_value"] if running else row["value"],
        "best_step": row["latest_step"] if running else row["best_step"],
        "seconds": row["seconds"],
        "start_time": row["started_at"],
        "end_time": row["finished_at"],
        "name": row["run_name"],
        "worker": row.get("worker__name"),
        "configuration": (row.get("configuration__digest") or "")[:12],
        "code": short_code(row["configuration__document"])
        if row.get("configuration__document")
        else "",
        "failure": row["failure_reason"],
        **{key: row[key] for key in ("device", "origin", "train_seed", "split_seed")},
        **{key: row[key] for key in ("search_seed", "attempt", "evaluations", "peak_memory_mb")},
    }


def _metric(values: tuple[float | None, ...] | None, entity: str, maximized: bool) -> float | None:
    """Of last, lowest, highest and at-best value the one that is asked for."""
    if values is None:
        return None
    last, lowest, highest, at_best = values
    if entity == "metric":
        return float("nan") if last is None else last
    if entity == "at_best":
        return at_best
    return highest if maximized else lowest
