"""Learning curves for a page: of the best trials and of those that run, whole or only the news."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db.models import F, Max, Q
from numpy.typing import NDArray
from tsdownsample import MinMaxLTTBDownsampler

from experiments.metrics import Metric, is_test
from experiments.models import SeriesBatch, Trial
from experiments.models.trial import TrialState
from experiments.queries import series
from experiments.queries.trial_table import STATE_WORDS, search_trials
from experiments.series_encoding import SeriesColumns, decode
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

    @property
    def finished(self) -> bool:
        return self.state not in ("running", "waiting")


@dataclass(frozen=True, slots=True)
class DrawnSeries:
    """Points of one series that are drawn [T], of `total` that there are.

    `seconds` [T] counts from the trial's first point.
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
    rows = search_trials(experiment_id).select_related("study")
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
    rows = search_trials(experiment_id).select_related("study").in_bulk(list(ids))
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
    )


def curves_of(trials: Sequence[CurveTrial], declared: Mapping[str, Metric]) -> list[TrialCurves]:
    """The whole curves of some trials, thinned for drawing. Two queries."""
    if not trials:
        return []
    # Before the points, so that one written in between is sent again rather than lost.
    newest = _newest_batches([trial.id for trial in trials])
    read = series.read([trial.id for trial in trials], declared=dict(declared))
    return [
        TrialCurves(
            trial=trial,
            cursor=(*newest.get(trial.id, (trial.attempt, -1)), trial.finished),
            series=_drawn(read.get(trial.id, {})),
        )
        for trial in trials
    ]


def news(
    trials: Sequence[CurveTrial], seen: Cursors, declared: Mapping[str, Metric]
) -> list[TrialCurves]:
    """What of these trials the cursors have not seen; trials without news are left out.

    A trial that was not seen, has another attempt, or has finished meanwhile comes whole.
    One query when nothing is new.
    """
    newest = _newest_batches([trial.id for trial in trials])
    whole, more = [], []
    for trial in trials:
        attempt, batch = newest.get(trial.id, (trial.attempt, -1))
        before = seen.get(trial.id)
        if before is None or before[0] != attempt or before[2] != trial.finished:
            whole.append(trial)
        elif batch > before[1]:
            more.append((trial, before[0], before[1]))
    return curves_of(whole, declared) + _added(more, declared)


def _newest_batches(trial_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    rows = (
        SeriesBatch.objects.filter(
            trial_id__in=trial_ids, fenced=False, attempt=F("trial__attempt")
        )
        .values("trial_id", "attempt")
        .annotate(newest=Max("batch"))
    )
    return {row["trial_id"]: (row["attempt"], row["newest"]) for row in rows}


def _added(
    wanted: Sequence[tuple[CurveTrial, int, int]], declared: Mapping[str, Metric]
) -> list[TrialCurves]:
    if not wanted:
        return []
    after = Q()
    for trial, attempt, batch in wanted:
        after |= Q(trial_id=trial.id, attempt=attempt, batch__gt=batch)
    rows = (
        SeriesBatch.objects.filter(after, fenced=False)
        .order_by("trial_id", "batch")
        .values_list("trial_id", "batch", "payload")
    )
    pieces: dict[int, dict[str, list[SeriesColumns]]] = {}
    newest: dict[int, int] = {}
    for trial_id, batch, payload in rows:
        newest[trial_id] = batch
        for name, columns in decode(bytes(payload)).items():
            if not is_test(name, declared):
                pieces.setdefault(trial_id, {}).setdefault(name, []).append(columns)
    starts = _first_times([trial.id for trial, _, _ in wanted])
    return [
        TrialCurves(
            trial=trial,
            cursor=(attempt, newest[trial.id], trial.finished),
            series=_drawn(
                {name: _joined(parts) for name, parts in pieces.get(trial.id, {}).items()},
                start=starts.get(trial.id),
            ),
            whole=False,
        )
        for trial, attempt, _ in wanted
        if trial.id in newest
    ]


def _first_times(trial_ids: Sequence[int]) -> dict[int, int]:
    """Milliseconds of the first point of each trial's present attempt."""
    rows = SeriesBatch.objects.filter(
        trial_id__in=trial_ids, fenced=False, attempt=F("trial__attempt"), batch__lte=1
    ).order_by("trial_id", "-batch")
    starts: dict[int, int] = {}
    for row in rows:
        times = [int(each.times_ms[0]) for each in decode(bytes(row.payload)).values()]
        if times:
            starts[row.trial_id] = min(times)
    return starts


def _joined(parts: list[SeriesColumns]) -> SeriesColumns:
    return SeriesColumns(
        np.concatenate([part.steps for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.times_ms for part in parts]),
    )


def _drawn(
    columns: Mapping[str, SeriesColumns], start: int | None = None
) -> dict[str, DrawnSeries]:
    if start is None:
        start = min(
            (int(each.times_ms[0]) for each in columns.values() if len(each.steps)), default=0
        )
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
