"""All rules on one trial: declared series in, one diagnosis per rule out.

Only declared series are judged, and never one of the test split.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from experiments.analysis.curves.checkpoints import BEST_CHECKPOINT, checkpoint_regret
from experiments.analysis.curves.curves import (
    LATE_OSCILLATION,
    OVERFITTING,
    late_oscillation,
    overfitting,
)
from experiments.analysis.curves.evaluations import (
    early_instability_unseen,
    periodic_validation,
    regular_evaluations,
)
from experiments.analysis.curves.gradients import clipped_updates, gradient_spikes
from experiments.analysis.curves.jumps import UNSTABLE_TRAINING, unstable_training
from experiments.analysis.curves.learning_curve import Curve, Direction, Floats, MetricKind
from experiments.analysis.curves.loss_and_metric import loss_metric_divergence
from experiments.analysis.curves.no_progress import NEVER_IMPROVES, never_improves
from experiments.analysis.curves.practice import learning_rate_schedule
from experiments.analysis.curves.progress import SATURATED, STILL_IMPROVING, progress
from experiments.analysis.curves.stability import divergence, non_finite, train_loss_rising
from experiments.analysis.curves.throughput import input_bound
from experiments.analysis.diagnosis import Diagnosis, guarded


@dataclass(frozen=True, slots=True)
class DeclaredSeries:
    """One series of a trial as its experiment declares it.

    split: "train", "validation", "test" or "". resolution: smallest step of the metric, in its
    unit. bounded: whether it lies in [0, 1]; None reads it from the values.
    """

    name: str
    curve: Curve
    split: str = ""
    kind: MetricKind = MetricKind.OTHER
    direction: Direction = Direction.MINIMIZE
    resolution: float = 0.0
    official: bool = False
    bounded: bool | None = None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Facts about a trial beside its series.

    finished: no more points will come. pruned: it was stopped on the way. planned_steps: how
    many it was meant to make. trial_sd, runner_up_gap: deviation over seeds and distance to the
    runner-up, in the official metric's unit. clip_norm: gradients are clipped there. ensembles:
    members may overfit, so that rule is muted. resumed_at: steps at which it was continued.
    step_seconds, waiting_seconds: [T] duration of each step and the wait for data in it.
    """

    finished: bool = True
    pruned: bool = False
    planned_steps: float | None = None
    trial_sd: float | None = None
    runner_up_gap: float | None = None
    clip_norm: float | None = None
    ensembles: bool = False
    resumed_at: Sequence[float] = ()
    step_seconds: Floats | None = None
    waiting_seconds: Floats | None = None


def diagnose_trial(
    series: Sequence[DeclaredSeries],
    circumstances: Circumstances | None = None,
    on_failure: Callable[[Exception], None] | None = None,
) -> list[Diagnosis]:
    """Return what every rule says about one trial; each rule (and subject) once.

    A rule whose series is not declared or not logged says nothing. After a divergence the rules
    about the validation curve are not checkable. on_failure: told of a rule that breaks, which
    then costs its own group of rules only; without it the error is raised.
    """
    about = circumstances or Circumstances()
    seen = _judged(series)
    if not seen:
        return []
    steady = [*guarded(_stability(seen, about), on_failure)]
    broken = next((d for d in steady if d.rule == "divergence" and d.fired), None)
    early = broken is not None and broken.evidence["when"] == "early"
    groups = (
        _of_validation(seen, about, diverged=broken is not None),
        _of_evaluations(seen, about, diverged_early=early),
        _of_gradients(seen, about),
        _of_time(seen, about),
    )
    return [*steady, *(d for group in groups for d in guarded(group, on_failure))]


def stability(
    series: Sequence[DeclaredSeries], *, planned_steps: float | None = None
) -> list[Diagnosis]:
    """Return what the rules about stability say: cheap enough for a running trial."""
    about = Circumstances(finished=False, planned_steps=planned_steps)
    return [*_stability(_judged(series), about)] if _judged(series) else []


def _judged(series: Sequence[DeclaredSeries]) -> list[DeclaredSeries]:
    return [metric for metric in series if metric.split != "test" and len(metric.curve)]


def _find(
    series: Sequence[DeclaredSeries], split: str | None, kind: MetricKind
) -> DeclaredSeries | None:
    return next(
        (metric for metric in series if metric.kind is kind and split in (None, metric.split)),
        None,
    )


def _official(series: Sequence[DeclaredSeries]) -> DeclaredSeries | None:
    return next((metric for metric in series if metric.official), None)


def _stability(series: Sequence[DeclaredSeries], about: Circumstances) -> Iterator[Diagnosis]:
    yield non_finite({metric.name: metric.curve for metric in series})
    train = _find(series, "train", MetricKind.LOSS)
    # Without a training loss the validation curve has to tell.
    watched = train or _find(series, "validation", MetricKind.LOSS) or _official(series)
    if watched is not None:
        yield divergence(
            watched.curve,
            direction=watched.direction,
            resolution=watched.resolution,
            planned_steps=about.planned_steps,
            of_validation=train is None,
        )
    if train is not None:
        yield train_loss_rising(train.curve)


def _of_validation(
    series: Sequence[DeclaredSeries], about: Circumstances, *, diverged: bool
) -> Iterator[Diagnosis]:
    official = _official(series)
    if official is None:
        return
    train = _find(series, "train", MetricKind.LOSS)
    train_curve = None if train is None else train.curve
    if diverged:
        for rule in (OVERFITTING, NEVER_IMPROVES, *_OF_PROGRESS, *_AT_THE_END):
            yield rule.cannot_tell("Training diverged.")
        return
    overfit = _of_official(overfitting, official, train_curve)
    if not about.ensembles:
        yield overfit
    # Where overfitting is muted, nothing else stands for it.
    progress_made = _progress_made(official, overfit if not about.ensembles else None)
    yield progress_made
    if progress_made.fired:
        # What a run gained is the measure of every other rule.
        for rule in (*_OF_PROGRESS, *_AT_THE_END):
            yield rule.cannot_tell(f"{progress_made.title}.")
    else:
        yield _of_official(unstable_training, official, train_curve)
        yield checkpoint_regret(
            official.curve, direction=official.direction, resolution=official.resolution
        )
        if about.finished:
            yield from _at_the_end(official, _find(series, None, MetricKind.LEARNING_RATE), about)
        else:
            for rule in _AT_THE_END:
                yield rule.cannot_tell("The trial is still running.")


def _progress_made(official: DeclaredSeries, overfit: Diagnosis | None) -> Diagnosis:
    """Return whether validation ever improves; overfitting from the start is told as that."""
    if overfit is not None and overfit.fired:
        return NEVER_IMPROVES.passes("It overfits.", overfit.evidence)
    return never_improves(
        official.curve,
        kind=official.kind,
        direction=official.direction,
        resolution=official.resolution,
        bounded=official.bounded,
    )


_OF_PROGRESS = (UNSTABLE_TRAINING, BEST_CHECKPOINT)
_AT_THE_END = (LATE_OSCILLATION, STILL_IMPROVING, SATURATED)


def _of_official(
    rule: Callable[..., Diagnosis], official: DeclaredSeries, train: Curve | None
) -> Diagnosis:
    return rule(
        official.curve,
        train,
        kind=official.kind,
        direction=official.direction,
        resolution=official.resolution,
        bounded=official.bounded,
    )


def _at_the_end(
    official: DeclaredSeries, rate: DeclaredSeries | None, about: Circumstances
) -> Iterator[Diagnosis]:
    if about.pruned:
        reason = "The trial was stopped on the way: its curve does not show an end."
        yield LATE_OSCILLATION.cannot_tell(reason)
    else:
        yield late_oscillation(
            official.curve,
            kind=official.kind,
            direction=official.direction,
            resolution=official.resolution,
            trial_sd=about.trial_sd,
            runner_up_gap=about.runner_up_gap,
        )
    yield from progress(
        official.curve,
        kind=official.kind,
        direction=official.direction,
        resolution=official.resolution,
        pruned=about.pruned,
        learning_rate=None if rate is None else rate.curve,
    )


def _of_evaluations(
    series: Sequence[DeclaredSeries], about: Circumstances, *, diverged_early: bool
) -> Iterator[Diagnosis]:
    official = _official(series)
    if official is None:
        return
    train_loss = _find(series, "train", MetricKind.LOSS)
    train = None if train_loss is None else train_loss.curve
    loss = _find(series, "validation", MetricKind.LOSS)
    if loss is not None and loss is not official and official.kind is MetricKind.METRIC:
        yield loss_metric_divergence(
            loss.curve,
            official.curve,
            train,
            direction=official.direction,
            resolution=official.resolution,
        )
    yield periodic_validation(official.curve)
    yield regular_evaluations(official.curve)
    yield early_instability_unseen(
        official.curve if train is None else _denser(official.curve, train),
        diverged_early=diverged_early,
        gradient_norms_logged=_find(series, None, MetricKind.GRADIENT_NORM) is not None,
        planned_steps=about.planned_steps,
    )


def _denser(first: Curve, second: Curve) -> Curve:
    """Return the curve that shows the first steps more finely."""
    starts = [
        float(curve.steps[curve.steps > 0].min()) if bool((curve.steps > 0).any()) else math.inf
        for curve in (first, second)
    ]
    return first if starts[0] <= starts[1] else second


def _of_gradients(series: Sequence[DeclaredSeries], about: Circumstances) -> Iterator[Diagnosis]:
    norms = _find(series, None, MetricKind.GRADIENT_NORM)
    if norms is None:
        return
    train = _find(series, "train", MetricKind.LOSS)
    yield gradient_spikes(norms.curve, None if train is None else train.curve)
    if about.clip_norm is not None:
        yield clipped_updates(norms.curve, about.clip_norm)


def _of_time(series: Sequence[DeclaredSeries], about: Circumstances) -> Iterator[Diagnosis]:
    rate = _find(series, None, MetricKind.LEARNING_RATE)
    if rate is not None and about.finished and not about.pruned:
        yield learning_rate_schedule(rate.curve, about.resumed_at)
    if about.step_seconds is not None:
        yield input_bound(about.step_seconds, about.waiting_seconds)
