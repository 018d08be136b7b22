"""Learning curves for a page: of the best trials and of those that run, whole or only the news."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from django.db.models import QuerySet
from numpy.typing import NDArray
from tsdownsample import MinMaxLTTBDownsampler

from experiments.analysis.curves.mean_curve import MeanCurve, mean_curve
from experiments.design.metrics import Metric
from experiments.design.queries.records import AnyTrial
from experiments.models import Replication, Trial
from experiments.models.trial import TrialState
from experiments.trials.series.queries import series
from experiments.trials.series.series_encoding import SeriesColumns, Steps
from experiments.trials.table.queries.trial_detail import name_of
from experiments.trials.table.queries.trial_table import HEAVY, STATE_WORDS, search_trials

BEST_TRIALS = 3
MOST_RUNNING = 5
MOST_ENDED = 6  # pruned and failed ones beside the best of an arm
MOST_REPLICATES = 40
EPOCHS = ("epoch", "epochs")  # series that say which epoch a step belongs to
MOST_POINTS = 600  # of one drawn line; a page is about that wide

Cursors = Mapping[int, tuple[int, int, bool]]  # trial id -> attempt, batch, finished


@dataclass(frozen=True, slots=True)
class CurveTrial:
    """A trial whose curves are drawn."""

    id: int
    name: str
    state: str
    attempt: int
    score: float | None
    best_step: float | None
    started_ms: int | None  # since 1970; curves by time count from there
    side: str = ""  # of a replicate: candidate or baseline

    @property
    def finished(self) -> bool:
        return self.state not in ("running", "waiting")


@dataclass(frozen=True, slots=True)
class DrawnSeries:
    """Points of one series that are drawn [T], of `total` that there are.

    `seconds` [T] counts from the start of the trial's present attempt; `epochs` [T] is None for a
    trial that logged no epochs.
    """

    steps: Steps
    values: NDArray[np.float64]
    seconds: NDArray[np.float64]
    total: int
    epochs: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class TrialCurves:
    """Series of one trial by metric name, and how far they have been read."""

    trial: CurveTrial
    cursor: tuple[int, int, bool]
    series: dict[str, DrawnSeries] = field(repr=False)
    whole: bool = True  # False: only points after the cursor that was asked with


def leading_trials(experiment_id: int, arms: int, *, direction: str) -> list[CurveTrial]:
    """The best complete trials and the running ones, in one query each."""
    rows = search_trials(experiment_id).select_related("study").defer(*HEAVY)
    best = _best(rows, direction, BEST_TRIALS)
    running = rows.filter(state=TrialState.RUNNING).order_by("-started_at", "-pk")[:MOST_RUNNING]
    return [_trial(row, arms) for row in (*best, *reversed(running))]


def _best(rows: QuerySet[Trial], direction: str, count: int) -> QuerySet[Trial]:
    """The best complete trials; they are found in an index, and only theirs are read whole."""
    order = "value" if direction == "minimize" else "-value", "number"
    best = rows.filter(state=TrialState.COMPLETE, value__isnull=False).order_by(*order)
    return rows.filter(pk__in=best.values("pk")[:count]).order_by(*order)


def best_trials(
    experiment_id: int, arms: int, *, direction: str, count: int, arm: int | None = None
) -> list[CurveTrial]:
    """The best complete trials, of one arm if it is given; with an arm also its running trials
    and the last ones that were pruned or failed.
    """
    rows = search_trials(experiment_id).select_related("study").defer(*HEAVY)
    if arm is not None:
        rows = rows.filter(study__arm_index=arm)
    best = _best(rows, direction, count)
    if arm is None:
        return [_trial(row, arms) for row in best]
    ended = rows.filter(state__in=(TrialState.PRUNED, TrialState.FAILED)).order_by("-pk")
    running = rows.filter(state=TrialState.RUNNING).order_by("-pk")[:MOST_RUNNING]
    return [_trial(row, arms) for row in (*best, *ended[:MOST_ENDED], *running)]


def replicates(replication_id: int, arms: int) -> list[CurveTrial]:
    """The replicates of a replication that have begun, the candidate's first, in pairs."""
    replication = Replication.objects.get(pk=replication_id)
    rows = (
        Trial.objects.replicates_of(replication)
        .exclude(state=TrialState.WAITING)
        .select_related("study")
        .defer(*HEAVY)
        .order_by("-study__side", "pair", "pk")
    )
    return [_trial(row, arms) for row in rows[:MOST_REPLICATES]]


def named_trials(trials: Sequence[AnyTrial], arms: int) -> list[CurveTrial]:
    """Trials that somebody chose to see."""
    return [_trial(trial, arms) for trial in trials]


def chosen_trials(experiment_id: int, arms: int, ids: Sequence[int]) -> list[CurveTrial]:
    """The search trials among these ids, in their given order."""
    rows = search_trials(experiment_id).select_related("study").defer(*HEAVY).in_bulk(list(ids))
    return [_trial(rows[trial_id], arms) for trial_id in ids if trial_id in rows]


def _trial(trial: AnyTrial, arms: int) -> CurveTrial:
    running = trial.state == TrialState.RUNNING
    return CurveTrial(
        id=trial.pk,
        name=name_of(trial, arms),
        state=STATE_WORDS[TrialState(trial.state)],
        attempt=trial.attempt,
        score=trial.latest_value if running else trial.value,
        best_step=trial.best_step,
        started_ms=int(trial.started_at.timestamp() * 1000) if trial.started_at else None,
        side=trial.study.side,
    )


def curves_of(
    trials: Sequence[CurveTrial], declared: Mapping[str, Metric], *, points: int = MOST_POINTS
) -> list[TrialCurves]:
    """The whole curves of some trials, each thinned to `points` for drawing. One query."""
    return _read(trials, {}, declared, points)


def zoomed(
    trials: Sequence[CurveTrial],
    declared: Mapping[str, Metric],
    names: Collection[str],
    steps: tuple[int, int],
) -> list[TrialCurves]:
    """Some series of some trials between two steps, thinned anew: what a closer look shows.

    One query, which leaves out rows that lie outside.
    """
    read = series.read(
        [trial.id for trial in trials], names={*names, *EPOCHS}, declared=declared, steps=steps
    )
    return [
        TrialCurves(
            trial=trial,
            cursor=(trial.attempt, -1, trial.finished),
            series=_drawn(read.get(trial.id, {}), trial.started_ms),
        )
        for trial in trials
    ]


def earlier_attempts(
    trial: CurveTrial, declared: Mapping[str, Metric], names: Collection[str]
) -> dict[int, dict[str, DrawnSeries]]:
    """Series of ended attempts of a trial that are not on its curve, thinned for drawing."""
    if trial.attempt < 2:
        return {}
    found = series.earlier_attempts(trial.id, names={*names, *EPOCHS}, declared=declared)
    return {attempt: _drawn(columns, trial.started_ms) for attempt, columns in found.items()}


def mean_curves(
    trials: Sequence[CurveTrial], declared: Mapping[str, Metric], names: Collection[str]
) -> dict[tuple[str, str], MeanCurve]:
    """Mean and spread over seeds by side and metric name, of every point that there is."""
    read = series.read([trial.id for trial in trials], names=names, declared=declared)
    found = {}
    for side in dict.fromkeys(trial.side for trial in trials):
        for name in names:
            members = [
                (read[trial.id][name].steps, read[trial.id][name].values)
                for trial in trials
                if trial.side == side and name in read.get(trial.id, {})
            ]
            if len(members) > 1:
                found[side, name] = mean_curve(members, points=MOST_POINTS)
    return found


def news(
    trials: Sequence[CurveTrial], seen: Cursors, declared: Mapping[str, Metric]
) -> list[TrialCurves]:
    """News of these trials since the cursors; trials without news are left out.

    A trial that was not seen, has another attempt, or has finished meanwhile comes whole.
    One query when nothing is new.
    """
    cursors = {
        trial.id: seen[trial.id]
        for trial in trials
        if trial.id in seen and seen[trial.id][2] == trial.finished
    }
    found = _read(trials, cursors, declared)
    return [curve for curve in found if curve.series or curve.trial.id not in seen]


def _read(
    trials: Sequence[CurveTrial],
    cursors: Cursors,
    declared: Mapping[str, Metric],
    points: int = MOST_POINTS,
) -> list[TrialCurves]:
    """Curves after the cursors that still hold, whole ones where there is none."""
    places = {trial.id: cursors[trial.id][:2] if trial.id in cursors else None for trial in trials}
    read = series.since(places, declared=declared) if places else {}
    found = []
    for trial in trials:
        new = read.get(trial.id)
        if new is None and trial.id in cursors:
            continue
        attempt, batch = new.cursor if new else (trial.attempt, -1)
        found.append(
            TrialCurves(
                trial=trial,
                cursor=(attempt, batch, trial.finished),
                series=_drawn(new.series, trial.started_ms, points) if new else {},
                whole=new is None or new.whole,
            )
        )
    return found


def _drawn(
    columns: Mapping[str, SeriesColumns], started_ms: int | None, points: int = MOST_POINTS
) -> dict[str, DrawnSeries]:
    firsts = [int(column.times_ms[0]) for column in columns.values() if len(column.steps)]
    start = min(firsts, default=0) if started_ms is None else started_ms
    epochs = next((columns[name] for name in EPOCHS if name in columns), None)
    return {
        name: _with_epochs(thinned(column, start, points), epochs)
        for name, column in columns.items()
    }


def _with_epochs(drawn: DrawnSeries, epochs: SeriesColumns | None) -> DrawnSeries:
    """Between two logged epochs the steps of a line lie evenly."""
    if epochs is None:
        return drawn
    finite = np.isfinite(epochs.values)
    steps, first = np.unique(epochs.steps[finite].astype(np.float64), return_index=True)
    if not len(steps):
        return drawn
    found = np.interp(drawn.steps.astype(np.float64), steps, epochs.values[finite][first])
    return replace(drawn, epochs=found)


def thinned(columns: SeriesColumns, start: int, points: int = MOST_POINTS) -> DrawnSeries:
    """At most `points` points that keep the look of the line: extremes stay, also non-finite ones.

    MinMaxLTTB (Van Der Donckt et al. 2023, "MinMaxLTTB: Leveraging MinMax-Preselection to Scale
    LTTB", IEEE VIS).
    """
    steps, values = columns.steps, columns.values
    total = len(steps)
    if total > points:
        finite = np.isfinite(values)
        solid = np.flatnonzero(finite)
        selected: NDArray[Any] = solid
        if len(solid) > points:
            chosen = MinMaxLTTBDownsampler().downsample(  # type: ignore[no-untyped-call]
                steps[solid].astype(np.float64), values[solid], n_out=points
            )
            selected = solid[chosen]
        # One point of each gap keeps the line broken there.
        gaps = np.flatnonzero(~finite & np.concatenate(([True], finite[:-1])))
        index = np.union1d(selected, gaps[:points])
        steps, values, times = steps[index], values[index], columns.times_ms[index]
    else:
        times = columns.times_ms
    return DrawnSeries(steps, values, (times - start) / 1000.0, total)
