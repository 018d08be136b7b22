"""Scatter plots, bars and parallel coordinates of the runs of a table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.charts.bars import Bar, BarChart
from experiments.charts.parallel import MOST_LINES, Coordinate, ParallelPlot, Scale
from experiments.charts.scatter import Marks, Measure, ScatterPlot
from experiments.charts.theme import ACCENT, INK_3, Plot, text_of
from experiments.trials.panels.space_panels import HOW_TO_BRUSH
from experiments.trials.table.brushes import Brush, brushes_in
from experiments.trials.table.columns import Column, column_of
from experiments.trials.table.filter_language import Field, field_of
from experiments.trials.table.panel_layout import PanelSpec
from experiments.trials.table.queries.drawn_runs import DrawnRuns
from experiments.trials.table.queries.run_groups import group_page
from experiments.trials.table.queries.run_points import (
    MOST_POINTS,
    ChosenRuns,
    RunPoints,
    first_runs,
    read_points,
    runs_of_points,
    without_brushes,
)
from experiments.trials.table.queries.run_rows import RunRow
from experiments.trials.table.queries.run_scope import RunScope, fields_in
from experiments.trials.table.runs_state import RunsState
from experiments.web.formatting import NOTHING, counted, deviation, duration, mean, number

MOST_BARS = 20
MOST_WORDS = 30  # of an axis of parallel coordinates
USUAL_AXES = 8
LARGEST = 1e300  # beyond it no chart has room for a difference


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plot with its title and a note on what it leaves out; `empty` says why there is none."""

    title: str
    plot: Plot | None
    note: str = ""
    empty: str = ""
    brushes: bool = False


class PointPanels:
    """Panels of the runs that a state shows, or of the drawn ones alone; runs are read once for
    each set of them. `rows` are those drawn so far.
    """

    def __init__(self, scope: RunScope, drawn: DrawnRuns, state: RunsState | None) -> None:
        self._scope = scope
        self._drawn = drawn
        self._state = state
        self._chosen: dict[str, ChosenRuns] = {}
        self.rows: dict[int, RunRow] = {}

    def panel(self, spec: PanelSpec) -> Drawn:
        draw = {"scatter": self._scatter, "bars": self._bars, "parallel": self._parallel}
        return draw[spec.kind](spec)

    def _scatter(self, spec: PanelSpec) -> Drawn:
        columns = [self._column(key) for key in (spec.keys * 2)[:2]]
        points = self._points(self._state, columns)
        across, upwards = (_measure(column, points) for column in columns)
        title = f"{upwards.title} by {across.title}"
        runs = [row.id for row in points.rows]
        plot = ScatterPlot(across, upwards, runs, self._marks(points))
        placed = sum(
            one is not None and other is not None
            for one, other in zip(across.values, upwards.values, strict=True)
        )
        missing = _left_out(len(runs) - placed, f"{across.title} and {upwards.title}")
        if not placed:
            return Drawn(
                title, None, empty=_nothing(points, f"{across.title} and {upwards.title}")
            )
        return Drawn(title, plot, _sentences(points.chosen.words, missing))

    def _marks(self, points: RunPoints) -> list[Marks]:
        """Runs in the colours of their curves, the others behind them."""
        hues = self._drawn.hues
        banded = {trial.id: trial.side for trial in self._drawn.trials}
        banded |= points.chosen.sides
        sides = [banded.get(row.id, "") for row in points.rows]
        named = [name for name in hues if isinstance(name, str) and name in sides]
        marks = [
            Marks(name, [i for i, side in enumerate(sides) if side == name], hues[name])
            for name in named
        ]
        own = [i for i, row in enumerate(points.rows) if row.id in hues]
        if own:
            marks.append(Marks("drawn runs", own, [hues[points.rows[i].id] for i in own]))
        seen = {i for mark in marks for i in mark.places}
        rest = [i for i in range(len(points.rows)) if i not in seen]
        name = "other runs" if marks else "runs"
        return [Marks(name, rest, quiet=bool(marks) or len(rest) > MOST_BARS), *marks]

    def _bars(self, spec: PanelSpec) -> Drawn:
        column = self._column(spec.keys[0])
        if self._drawn.groups:
            return self._bars_of_groups(column)
        if self._state is None:
            chosen = self._of_drawn(MOST_BARS)
        else:
            chosen = first_runs(self._scope, self._state, MOST_BARS)
        points = self._read(chosen, [column])
        measure, hues = _measure(column, points), self._drawn.hues
        rest = INK_3 if any(row.id in hues for row in points.rows) else ACCENT
        values = [value if isinstance(value, int | float) else None for value in measure.values]
        bars = [
            Bar(
                run_label(row, self._scope),
                value,
                _words(value, column),
                hues.get(row.id, rest),
                row.id,
            )
            for row, value in zip(points.rows, values, strict=True)
            if value is not None and measure.kind == "numbers"
        ]
        missing = _left_out(len(points.rows) - len(bars), measure.title)
        if not bars:
            return Drawn(measure.title, None, empty=_nothing(points, measure.title))
        plot = BarChart(bars, measure.title)
        return Drawn(measure.title, plot, _sentences(chosen.words, missing))

    def _bars_of_groups(self, column: Column) -> Drawn:
        """Mean and deviation of each group, over all of its runs."""
        title = _title(column)
        assert self._state is not None  # runs are grouped by a state
        page = group_page(self._scope, self._state, [column])
        spreads = {group.name: group.spreads.get(column.key) for group in page.rows}
        groups = [group.name for group in self._drawn.groups][:MOST_BARS]
        if not any(spreads.values()):
            return Drawn(title, None, empty=f"Groups have no mean of {title}.")
        hues, bars = self._drawn.hues, []
        for name in groups:
            spread = spreads.get(name)
            if spread is None or spread.mean is None or not math.isfinite(spread.mean):
                continue
            if column.kind == "duration":
                text = duration(spread.mean)
            else:
                text = mean(spread.mean, spread.deviation)
                if spread.deviation is not None:
                    text += f" ± {deviation(spread.deviation)}"
            hue = hues.get(name, INK_3)
            bars.append(Bar(name, spread.mean, text, hue, deviation=spread.deviation))
        missing = _left_out(len(groups) - len(bars), title, "group,groups")
        if not bars:
            return Drawn(title, None, empty=f"No group has a finite mean of {title}.")
        words = "Mean of each group, the whisker one standard deviation"
        if len(groups) < len(self._drawn.groups):
            words += f"; the first {len(groups)} groups of the page"
        return Drawn(title, BarChart(bars, title), _sentences(words, missing))

    def _parallel(self, spec: PanelSpec) -> Drawn:
        keys = spec.columns if spec.keys else (*self._usual_axes(), "score")
        columns = [self._column(key) for key in keys]
        state = None if self._state is None else without_brushes(self._state, keys)
        points = self._points(state, columns)
        brushes = brushes_in(self._state.condition()) if self._state is not None else {}
        found = [_coordinate(column, points, brushes) for column in columns[:-1]]
        last = columns[-1]
        scores = _numbers(points.values[last.key])
        title = (
            ", ".join(_title(column) for column in columns)
            if spec.keys
            else "Parallel coordinates"
        )
        finite = int(np.isfinite(scores).sum())
        missing = _left_out(len(points.rows) - finite, _title(last))
        coordinates = [one for one in found if one is not None]
        if not finite or not coordinates:
            return Drawn(title, None, empty=_nothing(points, _title(last)))
        hues, sides = self._drawn.hues, points.chosen.sides
        members = {
            name: (hues[name], np.array([sides[row.id] == name for row in points.rows]))
            for name in dict.fromkeys(sides.values())
        }
        brush = brushes.get(field_of(last.key), Brush())
        plot = ParallelPlot(
            coordinates,
            scores,
            metric=_title(last),
            maximize=self._maximized(last),
            score=(last.key, (brush.low, brush.high)) if self._state is not None else None,
            runs=[row.id for row in points.rows],
            groups=members,
        )
        axes = [_title(c) for c, one in zip(columns, found, strict=False) if one is None]
        lines = f"The best {MOST_LINES} of {finite:,} runs" if finite > MOST_LINES else ""
        dropped = f"Too many different values for an axis: {', '.join(axes)}" if axes else ""
        brushing = HOW_TO_BRUSH if self._state is not None else ""
        note = _sentences(points.chosen.words, lines, missing, dropped, brushing)
        return Drawn(title, plot, note, brushes=self._state is not None)

    def _usual_axes(self) -> list[str]:
        """Parameters that were searched; else those of the newest runs."""
        single = self._scope.single
        if single is not None and single.parameters:
            return [f"params.{name}" for name in single.parameters[:USUAL_AXES]]
        return [f"params.{name}" for name in fields_in(self._scope).parameters[:USUAL_AXES]]

    def _maximized(self, column: Column) -> bool:
        if column.key == "score":
            return self._scope.score_direction == "maximize"
        return self._scope.maximized()(field_of(column.key).name)

    def _column(self, key: str) -> Column:
        found = column_of(key, metric=self._scope.metric)
        assert found is not None  # a layout names columns
        return found

    def _points(self, state: RunsState | None, columns: Sequence[Column]) -> RunPoints:
        if state is None:
            return self._read(self._of_drawn(MOST_POINTS), columns)
        if state.filter not in self._chosen:
            self._chosen[state.filter] = runs_of_points(self._scope, state, self._drawn)
        return self._read(self._chosen[state.filter], columns)

    def _of_drawn(self, most: int) -> ChosenRuns:
        keys = [trial.id for trial in self._drawn.trials]
        words = f"First {most} of {len(keys)} runs" if len(keys) > most else ""
        return ChosenRuns(keys[:most], len(keys), words=words)

    def _read(self, chosen: ChosenRuns, columns: Sequence[Column]) -> RunPoints:
        points = read_points(self._scope, chosen, list(dict.fromkeys(columns)))
        self.rows |= {row.id: row for row in points.rows}
        return points


def run_label(row: RunRow, scope: RunScope) -> str:
    """Name of a run, with its experiment where there are several."""
    return f"{row.experiment} {row.name}" if scope.single is None and row.experiment else row.name


def _title(column: Column) -> str:
    words = column.title
    if column.key == "seconds":
        return "time, s"
    if column.kind == "moment":
        return f"{words} (UTC)"
    return f"{words} ({column.detail})" if column.detail and column.key != "score" else words


def _measure(column: Column, points: RunPoints) -> Measure:
    """Values along an axis: numbers, moments, or words where any value is one."""
    title, values = _title(column), points.values[column.key]
    if column.kind == "moment":
        times = [_iso(value) for value in values]
        return Measure(title, times, "moments")
    if any(isinstance(value, bool | str) and value != "" for value in values):
        words = [None if value is None or value == "" else text_of(value) for value in values]
        return Measure(title, words, "words")
    found = _numbers(values).tolist()
    return Measure(title, [value if math.isfinite(value) else None for value in found])


def _iso(value: Any) -> str | None:
    if not isinstance(value, datetime):
        return None
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    """Values [N] as numbers; NaN for what is none, or has no room on an axis."""
    return np.array([_number(value) for value in values], dtype=np.float64)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if abs(value) <= LARGEST else math.nan


def _coordinate(
    column: Column, points: RunPoints, brushes: Mapping[Field, Brush]
) -> Coordinate | None:
    """A vertical axis of the parallel plot; None where it would have too many words."""
    measure, title = _measure(column, points), _title(column)
    if measure.kind == "moments":
        return _of_moments(title, points.values[column.key])
    if measure.kind == "words":
        return _of_words(column, points.values[column.key], brushes)
    values = _numbers(points.values[column.key])
    there = values[np.isfinite(values)]
    if not there.size:
        return Coordinate(title, values, NOTHING, NOTHING)
    low, high = float(there.min()), float(there.max())
    if low == high:
        flat = np.where(np.isfinite(values), 0.5, math.nan)
        return Coordinate(title, flat, "", number(low))
    scale = Scale(column.key, low, high, log=measure.log)
    places = [scale.position(v) if math.isfinite(v) else math.nan for v in values.tolist()]
    brush = brushes.get(field_of(column.key))
    chosen = None if brush is None else scale.stretch(brush.low, brush.high, ())
    return Coordinate(title, np.array(places), f"{low:.4g}", f"{high:.4g}", scale, chosen)


def _of_moments(title: str, values: Sequence[Any]) -> Coordinate:
    seconds = np.array([v.timestamp() if isinstance(v, datetime) else math.nan for v in values])
    there = seconds[np.isfinite(seconds)]
    if not there.size:
        return Coordinate(title, seconds, NOTHING, NOTHING)
    low, high = float(there.min()), float(there.max())
    places = (seconds - low) / (high - low) if high > low else seconds * 0 + 0.5
    first, last = (datetime.fromtimestamp(end, UTC).strftime("%d %b %H:%M") for end in (low, high))
    return Coordinate(title, places, first, last)


def _of_words(
    column: Column, values: Sequence[Any], brushes: Mapping[Field, Brush]
) -> Coordinate | None:
    texts = [
        None if value is None or value == "" else _as_stored(column, value) for value in values
    ]
    words = tuple(sorted({text for text in texts if text is not None}))
    if len(words) > MOST_WORDS:
        return None
    places = {word: (place + 0.5) / len(words) for place, word in enumerate(words)}
    positions = [math.nan if text is None else places[text] for text in texts]
    scale = Scale(column.key, words=words)
    brush = brushes.get(field_of(column.key))
    chosen = None if brush is None else scale.stretch(brush.low, brush.high, brush.values)
    return Coordinate(_title(column), np.array(positions), words[0], words[-1], scale, chosen)


def _as_stored(column: Column, value: Any) -> str:
    """A value as the filter compares it: an arm by its letter, others than texts as JSON."""
    if column.key == "arm":
        return str(value).partition(":")[0]
    return value if isinstance(value, str) else json.dumps(value)


def _words(value: float, column: Column) -> str:
    return duration(value) if column.kind == "duration" else number(value)


def _left_out(count: int, what: str, words: str = "run,runs") -> str:
    return f"{counted(count, words)} without a finite {what} left out" if count else ""


def _nothing(points: RunPoints, what: str) -> str:
    if not points.rows:
        return "No run fulfils these conditions."
    return f"No run drawn here has a finite {what}."


def _sentences(*parts: str) -> str:
    return " ".join(part if part.endswith(".") else f"{part}." for part in parts if part)
