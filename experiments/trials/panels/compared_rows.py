"""Rows of a comparison of runs: metrics with their differences, parameters, code, the runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.design.metrics import guess, is_test
from experiments.trials.panels.metric_groups import SYSTEM, metric_groups
from experiments.trials.table.compare_state import CompareState
from experiments.trials.table.queries.compared_runs import ComparedRun
from experiments.trials.table.queries.run_scope import RunScope
from experiments.trials.table.queries.seed_deviations import SeedDeviation
from experiments.web.formatting import (
    NOTHING,
    counted,
    deviation,
    duration,
    megabytes,
    moment,
    number,
    score,
)

MOST_ROWS = 150  # of a section
LONGEST = 120  # characters of a cell


@dataclass(frozen=True, slots=True)
class Cell:
    """A run's value in a row; `title`: the whole text where it is cut. Of a metric also its
    difference to the baseline in percent and in deviations over seeds, whether it is `better`, and
    whether it is larger than seeds alone let two runs differ.
    """

    text: str
    title: str = ""
    differs: bool = False
    note: str = ""
    percent: str = ""
    deviations: str = ""
    better: bool | None = None
    beyond_seeds: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One row over all runs; `diff` names the text whose differences can be shown."""

    name: str
    cells: tuple[Cell, ...]
    differs: bool
    detail: str = ""
    help: str = ""
    diff: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under a title; `total` and `same` count also those that are left out."""

    title: str
    rows: tuple[Row, ...]
    total: int
    same: int
    words: str = ""

    @property
    def left_out(self) -> int:
        return self.total - len(self.rows)


def section_of(
    title: str, rows: Sequence[Row], state: CompareState, *, words: str = ""
) -> Section:
    """A section with what differs first, and what agrees only where everything is asked for."""
    differing = [row for row in rows if row.differs]
    same = [row for row in rows if not row.differs]
    shown = [*differing, *(same if state.everything else ())][:MOST_ROWS]
    return Section(title, tuple(shown), len(rows), len(same), words)


def row_of(
    name: str,
    values: Sequence[object],
    write: Callable[[object], str] = number,
    *,
    diff: str = "",
    several: bool = True,
) -> Row:
    """A row of values, the baseline's first; None and "" are nothing."""
    kinds = [_kind(value) for value in values]
    cells = []
    for value, kind in zip(values, kinds, strict=True):
        text = NOTHING if kind is None else write(value)
        cut = f"{text[: LONGEST - 1]}…" if len(text) > LONGEST else text
        title = text if cut != text else ""
        cells.append(Cell(cut, title, differs=kind != kinds[0]))
    return Row(name, tuple(cells), any(cell.differs for cell in cells) or not several, diff=diff)


def _kind(value: object) -> object:
    """Mark that equal values share: 1 and 1.0 are one number, yes and 1 are not."""
    if value is None or value == "":
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, bool | int | float | str):
        return isinstance(value, bool), value
    return repr(value)


def parameter_rows(runs: Sequence[ComparedRun]) -> list[Row]:
    names = dict.fromkeys(name for run in runs for name in run.parameters)
    several = len(runs) > 1
    return [
        row_of(name, [run.parameters.get(name) for run in runs], several=several) for name in names
    ]


def metric_rows(
    runs: Sequence[ComparedRun],
    scope: RunScope,
    state: CompareState,
    deviations: Mapping[str, SeedDeviation],
) -> list[Row]:
    """Metrics of the runs, the official one first; those of the machine on demand."""
    maximized = scope.maximized()
    known = scope.declared
    rows = []
    nameless = [(run.score if not run.official_metric else None, "") for run in runs]
    if any(value is not None for value, _ in nameless):  # of studies of Optuna
        rows.append(_metric_row("value", nameless, None, None))
    for name in metric_names(runs, scope, state):
        found = [_metric(run, name, state) for run in runs]
        points = name == scope.metric or (known.get(name) or guess(name)).direction is not None
        direction = maximized(name) if points else None
        rows.append(_metric_row(name, found, direction, deviations.get(name)))
    return rows


def metric_names(runs: Sequence[ComparedRun], scope: RunScope, state: CompareState) -> list[str]:
    """Names of the runs' metrics without sealed ones, in the order of the charts."""
    declared = {experiment.name: experiment.metrics for experiment in scope.experiments}
    names = {
        name
        for run in runs
        for name in (*run.metrics, *filter(None, [run.official_metric]))
        if not is_test(name, declared.get(run.experiment, {}))
        and (state.everything or not name.startswith(SYSTEM))
    }
    groups = metric_groups(names, scope.declared, scope.metric).values()
    ordered = [name for group in groups for name in group.members]
    return sorted(ordered, key=lambda name: name != scope.metric)[:MOST_ROWS]


def _metric(run: ComparedRun, name: str, state: CompareState) -> tuple[float | None, str]:
    """A run's value of a metric, and in a word which one it is where another was asked for."""
    found = run.metrics.get(name)
    if name == run.official_metric:
        if run.unfinished:
            return run.score, "latest"
        if state.values == "best":
            return run.score, ""
    if found is None:
        return None, ""
    last = math.nan if found.last is None else found.last
    if state.values == "last":
        return last, ""
    latest = "latest" if run.unfinished else "last"
    return (found.at_best, "") if found.has_best else (last, latest)


def _metric_row(
    name: str,
    values: Sequence[tuple[float | None, str]],
    maximized: bool | None,
    spread: SeedDeviation | None,
) -> Row:
    first = values[0][0]
    cells = tuple(
        _metric_cell(value, note, None if place == 0 else first, maximized, spread)
        for place, (value, note) in enumerate(values)
    )
    detail, words = _spread_words(spread) if spread and len(values) > 1 else ("", "")
    return Row(name, cells, True, detail, words)


def _spread_words(spread: SeedDeviation) -> tuple[str, str]:
    """The unit of differences: in short, and what it was measured from."""
    runs = counted(spread.runs, "run,runs")
    beyond = f"; coloured beyond {spread.largest_by_seeds:.1f} SD"
    if not spread.pooled:
        words = f"Standard deviation over seeds of the baseline's configuration, from {runs}"
        return f"SD {deviation(spread.value)}, {runs}", words + beyond
    of = counted(spread.configurations, "configuration,configurations")
    words = f"Standard deviation over seeds, pooled over {runs} of {of} that were replicated here"
    return f"SD {deviation(spread.value)}, {runs} pooled", words + beyond


def _metric_cell(
    value: float | None,
    note: str,
    baseline: float | None,
    maximized: bool | None,
    spread: SeedDeviation | None,
) -> Cell:
    if value is None or baseline is None or not math.isfinite(value - baseline):
        return Cell(score(value), note=note)
    change = value - baseline
    share = f"{_signed(100 * change / abs(baseline))} %" if baseline else ""
    units = f"{_signed(change / spread.value)} SD" if spread else ""
    better = None if maximized is None or not change else (change > 0) == maximized
    beyond = spread is not None and abs(change) > spread.largest_by_seeds * spread.value
    return Cell(score(value), "", False, note, share, units, better, beyond)


def _signed(value: float) -> str:
    digits = 1 if abs(value) < 99.95 else 0
    text = f"{value:+,.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text.replace(",", "")) else "0"


def code_rows(
    runs: Sequence[ComparedRun], changes: Mapping[int, str], texts: Collection[str]
) -> list[Row]:
    """Objective, code and environment. `changes`: a mark of each run's uncommitted changes;
    `texts`: those whose differences can be shown.
    """
    several = len(runs) > 1
    rows = [
        row_of("objective", [run.document.get("objective") for run in runs], several=several),
        row_of("code", [_code(run) for run in runs], several=several),
        row_of("source", [_source(run) for run in runs], several=several),
        row_of("repository", [_repository(run) for run in runs], several=several),
        row_of(
            "uncommitted changes",
            [changes.get(run.id) for run in runs],
            several=several,
            diff="code" if "code" in texts else "",
        ),
        row_of(
            "experiment",
            [run.experiment for run in runs],
            several=several,
            diff="experiment" if "experiment" in texts else "",
        ),
    ]
    plain = dict.fromkeys(name for run in runs for name in run.environment if name != "packages")
    rows += [
        row_of(name.replace("_", " "), [_text(run.environment.get(name)) for run in runs],
               several=several)
        for name in plain
    ]  # fmt: skip
    versions = [run.environment.get("packages") or {} for run in runs]
    packages = dict.fromkeys(name for version in versions for name in sorted(version))
    rows += [row_of(name, [version.get(name) for version in versions]) for name in packages]
    return [row for row in rows if any(cell.text != NOTHING for cell in row.cells)]


def _text(value: Any) -> Any:
    return value if isinstance(value, str | int | float) or value is None else str(value)


def _code(run: ComparedRun) -> str:
    return run.code.short or str(run.document.get("commit", ""))[:10]


def _source(run: ComparedRun) -> str:
    return ", ".join(filter(None, (package.source for package in run.code.packages)))


def _repository(run: ComparedRun) -> str:
    found = (package.remote or package.origin for package in run.code.packages)
    return ", ".join(dict.fromkeys(filter(None, found)))


def run_rows(runs: Sequence[ComparedRun]) -> list[Row]:
    """Times, places, seeds and outcome of the runs, and what people noted of them."""
    several = len(runs) > 1

    def fact(title: str, key: str, write: Callable[[Any], str] = number) -> Row:
        return row_of(title, [run.facts[key] for run in runs], write, several=several)

    rows = [
        row_of("state", [run.state for run in runs], several=several),
        fact("started", "started_at", moment),
        fact("time", "seconds", duration),
        fact("peak memory", "peak_memory_mb", megabytes),
        row_of("best step", [run.score_step for run in runs], several=several),
        fact("data", "data"),
        fact("training seed", "train_seed", str),
        fact("split seed", "split_seed", str),
        fact("search seed", "search_seed", str),
        fact("device", "device"),
        fact("worker", "worker"),
        fact("attempt", "attempt"),
        fact("failure", "failure_reason"),
        fact("note", "note"),
    ]
    tags = _names(run.tags for run in runs)
    rows += [
        row_of(f"tag {name}", [_tag(run, name) for run in runs], several=several) for name in tags
    ]
    return [row for row in rows if any(cell.text != NOTHING for cell in row.cells)]


def _tag(run: ComparedRun, name: str) -> str | None:
    return (run.tags[name] or "set") if name in run.tags else None


def _names(mappings: Iterable[Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))
