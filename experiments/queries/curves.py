"""Learning curves for a page: of the best trials and of those that run, whole or only the news."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tsdownsample import MinMaxLTTBDownsampler

from experiments.metrics import Metric
from experiments.models import Trial
from experiments.models.trial import TrialState
from experiments.queries import series
from experiments.queries.trial_table import HEAVY, STATE_WORDS, search_trials
from experiments.series_encoding import SeriesColumns
from experiments.trial_names import trial_name

BEST_TRIALS = 3
MOST_RUNNING = 5
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
    best_step: int | None
    started_ms: int | None  # since 1970; curves by time count from there

    @property
    def finished(self) -> bool:
        return self.state not in ("running", "waiting")


@dataclass(frozen=True, slots=True)
class DrawnSeries:
    """Points of one series that are drawn [T], of `total` that there are.

    `seconds` [T] counts from the start of the trial's present attempt.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    seconds: NDArray[np.float64]
    total: int


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
    best = rows.filter(state=TrialState.COMPLETE, value__isnull=False).order_by(
        "value" if direction == "minimize" else "-value", "number"
    )[:BEST_TRIALS]
    running = rows.filter(state=TrialState.RUNNING).order_by("-started_at", "-pk")[:MOST_RUNNING]
    return [_trial(row, arms) for row in (*best, *reversed(running))]


def named_trials(trials: Sequence[Trial], arms: int) -> list[CurveTrial]:
    """Trials that somebody chose to see."""
    return [_trial(trial, arms) for trial in trials]


def chosen_trials(experiment_id: int, arms: int, ids: Sequence[int]) -> list[CurveTrial]:
    """The search trials among these ids, in their given order."""
    rows = search_trials(experiment_id).select_related("study").defer(*HEAVY).in_bulk(list(ids))
    return [_trial(rows[each], arms) for each in ids if each in rows]


def _trial(trial: Trial, arms: int) -> CurveTrial:
    running = trial.state == TrialState.RUNNING
    return CurveTrial(
        id=trial.pk,
        name=trial_name(trial.number, arm=trial.study.arm_index, arms=arms),
        state=STATE_WORDS[TrialState(trial.state)],
        attempt=trial.attempt,
        score=trial.latest_value if running else trial.value,
        best_step=trial.best_step,
        started_ms=int(trial.started_at.timestamp() * 1000) if trial.started_at else None,
    )


def curves_of(trials: Sequence[CurveTrial], declared: Mapping[str, Metric]) -> list[TrialCurves]:
    """The whole curves of some trials, thinned for drawing. One query."""
    return _read(trials, {}, declared)


def news(
    trials: Sequence[CurveTrial], seen: Cursors, declared: Mapping[str, Metric]
) -> list[TrialCurves]:
    """What of these trials the cursors have not seen; trials without news are left out.

    A trial that was not seen, has another attempt, or has finished meanwhile comes whole.
    One query when nothing is new.
    """
    held = {
        trial.id: seen[trial.id]
        for trial in trials
        if trial.id in seen and seen[trial.id][2] == trial.finished
    }
    found = _read(trials, held, declared)
    return [each for each in found if each.series or each.trial.id not in seen]


def _read(
    trials: Sequence[CurveTrial], held: Cursors, declared: Mapping[str, Metric]
) -> list[TrialCurves]:
    """Curves after the cursors that still hold, whole ones where there is none."""
    places = {trial.id: held[trial.id][:2] if trial.id in held else None for trial in trials}
    read = series.since(places, declared=declared) if places else {}
    found = []
    for trial in trials:
        new = read.get(trial.id)
        if new is None and trial.id in held:
            continue
        attempt, batch = new.cursor if new else (trial.attempt, -1)
        found.append(
            TrialCurves(
                trial=trial,
                cursor=(attempt, batch, trial.finished),
                series=_drawn(new.series, trial.started_ms) if new else {},
                whole=new is None or new.whole,
            )
        )
    return found


def _drawn(columns: Mapping[str, SeriesColumns], started_ms: int | None) -> dict[str, DrawnSeries]:
    firsts = [int(each.times_ms[0]) for each in columns.values() if len(each.steps)]
    start = min(firsts, default=0) if started_ms is None else started_ms
    return {name: thinned(each, start) for name, each in columns.items()}


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
        kept: NDArray[Any] = solid
        if len(solid) > points:
            chosen = MinMaxLTTBDownsampler().downsample(  # type: ignore[no-untyped-call]
                steps[solid].astype(np.float64), values[solid], n_out=points
            )
            kept = solid[chosen]
        # One point of each gap keeps the line broken there.
        gaps = np.flatnonzero(~finite & np.concatenate(([True], finite[:-1])))
        index = np.union1d(kept, gaps[:points])
        steps, values, times = steps[index], values[index], columns.times_ms[index]
    else:
        times = columns.times_ms
    return DrawnSeries(steps, values, (times - start) / 1000.0, total)
