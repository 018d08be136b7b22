"""A trial's series with their declared split, kind and direction, as input of the rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from experiments.analysis.curves.learning_curve import (
    Curve,
    Direction,
    Floats,
    MetricKind,
    observed_resolution,
)
from experiments.analysis.curves.throughput import seconds_per_step
from experiments.analysis.curves.trial_findings import Circumstances, DeclaredSeries
from experiments.analysis.design.hyperparameter_kinds import HyperparameterKind, kind_of, number_of
from experiments.design.metrics import Metric, guess
from experiments.trials.findings.queries.findings_due import DueTrial
from experiments.trials.lifecycle.queries.trial_spec import TrialSpec
from experiments.trials.series.series_encoding import SeriesColumns

# Seconds of each step that went into waiting for data, where a training loop logs them.
WAITING = ("waiting_seconds", "data_seconds", "input_seconds")
_SYSTEM = "system/"


def declared_series(
    series: Mapping[str, SeriesColumns], spec: TrialSpec | DueTrial
) -> list[DeclaredSeries]:
    """Every series that a rule may judge.

    Those of single folds and of smaller budgets (their names end in a bracket) are left out, and
    so is what the worker measures of its machine.
    """
    return [
        _declared(name, _curve(columns), spec)
        for name, columns in series.items()
        if not name.endswith("]") and not name.startswith(_SYSTEM)
    ]


def _declared(name: str, curve: Curve, spec: TrialSpec | DueTrial) -> DeclaredSeries:
    metric = spec.metrics.get(name) or guess(name)
    official = name == spec.official_metric
    if name == "loss" and name not in spec.metrics and not official:
        # Beside an official metric of another name, as Transformers and Keras log it.
        metric = replace(metric, split="train")
    kind = MetricKind(metric.kind)
    direction = _direction(metric)
    if official:
        direction = Direction(spec.direction)
        kind = MetricKind.LOSS if kind is MetricKind.LOSS else MetricKind.METRIC
    resolution = metric.resolution
    if not resolution and kind is MetricKind.METRIC:
        resolution = observed_resolution(curve.values)
    return DeclaredSeries(
        name=name,
        curve=curve,
        split="validation" if official and not metric.split else metric.split,
        kind=kind,
        direction=direction,
        resolution=resolution,
        official=official,
    )


def _direction(metric: Metric) -> Direction:
    if metric.direction is None:
        return Direction.MINIMIZE
    return Direction(metric.direction)


def circumstances(
    series: Mapping[str, SeriesColumns],
    parameters: Mapping[str, Any],
    *,
    pruned: bool,
    trial_sd: float | None = None,
    runner_up_gap: float | None = None,
    resumed_at: Sequence[float] = (),
) -> Circumstances:
    """Facts about a finished trial other than its series."""
    clip = number_of(parameters, HyperparameterKind.CLIPPING)
    seconds, waiting = step_times(series)
    return Circumstances(
        finished=True,
        pruned=pruned,
        planned_steps=planned_steps(parameters, _last_step(series)),
        trial_sd=trial_sd,
        runner_up_gap=runner_up_gap,
        clip_norm=clip if clip is not None and clip > 0 else None,
        resumed_at=resumed_at,
        step_seconds=seconds,
        waiting_seconds=waiting,
    )


def planned_steps(parameters: Mapping[str, Any], logged: float) -> float | None:
    """Number of steps that a trial was meant to make, in the steps that it logs; None if not told.

    Epochs count only where no step beyond them was logged: then epochs are what is logged.
    """
    for kind in (HyperparameterKind.STEPS, HyperparameterKind.EPOCHS):
        planned = number_of(parameters, kind)
        if planned is not None and 0 < logged <= planned:
            return planned
    return None


def learning_rate(parameters: Mapping[str, Any]) -> float:
    """The trial's learning rate, nan if it has none."""
    found = number_of(parameters, HyperparameterKind.LEARNING_RATE)
    return math.nan if found is None else found


def all_but_the_rate(parameters: Mapping[str, Any]) -> str:
    """A key of everything but the learning rate: equal for trials that differ in it alone."""
    others = sorted(
        (name, repr(value))
        for name, value in parameters.items()
        if kind_of(name) is not HyperparameterKind.LEARNING_RATE
    )
    return repr(others)


def step_times(series: Mapping[str, SeriesColumns]) -> tuple[Floats | None, Floats | None]:
    """Seconds per step of each logged interval [T], and the part spent waiting for data [T].

    From the series with the most points. Intervals with a validation metric include an evaluation
    and are nan. None where only evaluations are logged.
    """
    training = {
        name: columns
        for name, columns in series.items()
        if not name.startswith(_SYSTEM) and guess(name).split != "validation"
    }
    if not training:
        return None, None
    finest = max(training.values(), key=lambda columns: columns.steps.size)
    evaluated = _evaluated_at(series)
    steps = finest.steps.astype(np.float64)
    seconds = seconds_per_step(steps, finest.times_ms / 1000)
    seconds[np.isin(finest.steps[1:], evaluated) | np.isin(finest.steps[:-1], evaluated)] = np.nan
    waiting = next((series[name] for name in WAITING if name in series), None)
    if waiting is None:
        return seconds, None
    place = np.searchsorted(waiting.steps, finest.steps[1:])
    known = place < waiting.steps.size
    found = np.full(seconds.size, np.nan)
    found[known] = waiting.values[place[known]]
    return seconds, found


def _evaluated_at(series: Mapping[str, SeriesColumns]) -> np.ndarray:
    steps = [
        columns.steps for name, columns in series.items() if guess(name).split == "validation"
    ]
    return np.concatenate(steps) if steps else np.empty(0, dtype=np.int64)


def _last_step(series: Mapping[str, SeriesColumns]) -> float:
    return float(max((columns.steps.max() for columns in series.values()), default=0))


def _curve(columns: SeriesColumns) -> Curve:
    return Curve(columns.steps.astype(np.float64), columns.values)
