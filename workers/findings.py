"""After a trial: read its curves and the search space as the method's rules do, and record it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

import numpy as np

from experiments.analysis.boundary import boundary
from experiments.analysis.curves import late_oscillation, overfitting
from experiments.analysis.diagnosis import Diagnosis
from experiments.analysis.learning_curve import Curve, Direction, MetricKind
from experiments.catalogue import SAMPLERS
from experiments.metrics import Metric, guess
from experiments.queries import axes, series
from experiments.queries.assignments import Assignment
from experiments.series_encoding import SeriesColumns
from experiments.services import findings

logger = logging.getLogger(__name__)


def look(assignment: Assignment) -> None:
    """Record what the rules see in a finished search trial and in its experiment.

    A rule that breaks is logged and costs its finding, never the trial.
    """
    if assignment.kind != "search":
        return
    try:
        findings.record(
            experiment_id=assignment.experiment_id,
            trial_id=assignment.trial_id,
            diagnoses=list(_of_trial(assignment)),
        )
        findings.record(
            experiment_id=assignment.experiment_id, diagnoses=_of_experiment(assignment)
        )
    except Exception:
        logger.exception("the findings of trial %s could not be made", assignment.trial_id)


def _of_trial(assignment: Assignment) -> Iterator[Diagnosis]:
    read = series.read([assignment.trial_id], declared=dict(assignment.metrics))
    curves = read.get(assignment.trial_id, {})
    official = assignment.official_metric
    if official not in curves:
        return
    declared = {name: assignment.metrics.get(name) or guess(name) for name in curves}
    metric = declared[official]
    validation = _curve(curves[official])
    kind = MetricKind.LOSS if metric.kind == "loss" else MetricKind.METRIC
    direction = Direction(assignment.direction)
    yield overfitting(
        validation,
        _train_loss(curves, declared),
        kind=kind,
        direction=direction,
        resolution=metric.resolution,
    )
    yield late_oscillation(
        validation, kind=kind, direction=direction, resolution=metric.resolution
    )


def _train_loss(
    curves: Mapping[str, SeriesColumns], declared: Mapping[str, Metric]
) -> Curve | None:
    names = [
        name
        for name, metric in declared.items()
        if metric.split == "train" and metric.kind == "loss"
    ]
    return _curve(curves[names[0]]) if names else None


def _curve(columns: SeriesColumns) -> Curve:
    return Curve(columns.steps.astype(np.float64), columns.values)


def _of_experiment(assignment: Assignment) -> list[Diagnosis]:
    return boundary(
        axes.axes(assignment.experiment_id),
        Direction(assignment.direction),
        adaptive=SAMPLERS[assignment.sampler].adaptive,
    )
