from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.curves.curves import overfitting
from experiments.analysis.curves.learning_curve import Curve, Direction, MetricKind
from experiments.analysis.curves.loss_and_metric import loss_metric_divergence
from experiments.analysis.diagnosis import Severity, Status

STEPS = np.arange(100)
TRAIN = Curve.of(np.exp(-STEPS / 20))
TURNING = Curve.of(0.5 + np.exp(-STEPS / 8) + np.where(STEPS > 40, 0.01 * (STEPS - 40), 0))
GAINING = Curve.of(0.9 - 0.5 * np.exp(-STEPS / 30))
LOSING = Curve.of(0.9 - 0.5 * np.exp(-STEPS / 8) - np.where(STEPS > 40, 0.003 * (STEPS - 40), 0))


def test_loss_up_and_metric_up_is_a_notice_to_judge_by_the_metric() -> None:
    diagnosis = loss_metric_divergence(TURNING, GAINING, TRAIN, direction=Direction.MAXIMIZE)
    assert diagnosis.fired
    assert diagnosis.severity is Severity.NOTICE
    assert float(str(diagnosis.evidence["metric_gain_since_onset"])) > 0


def test_loss_up_and_metric_down_is_left_to_overfitting() -> None:
    diagnosis = loss_metric_divergence(TURNING, LOSING, TRAIN, direction=Direction.MAXIMIZE)
    assert diagnosis.status is Status.PASSED
    assert "overfitting" in diagnosis.detail


def test_a_metric_that_loses_too_little_to_overfit_does_not_hide_the_loss() -> None:
    noise = np.random.default_rng(1).normal(0, 0.01, STEPS.size)
    drooping = Curve.of(np.where(STEPS > 40, 0.87, 0.89) - 0.4 * np.exp(-STEPS / 8) + noise)
    found = loss_metric_divergence(TURNING, drooping, TRAIN, direction=Direction.MAXIMIZE)
    assert not overfitting(
        drooping, TRAIN, kind=MetricKind.METRIC, direction=Direction.MAXIMIZE
    ).fired
    assert found.title == "Validation loss rises after step 38"


def test_a_falling_loss_agrees() -> None:
    assert not loss_metric_divergence(TRAIN, GAINING, TRAIN, direction=Direction.MAXIMIZE).fired


def test_short_curves_are_not_checkable() -> None:
    short = Curve.of([1.0, 2.0])
    for loss, metric in ((short, GAINING), (TURNING, short)):
        found = loss_metric_divergence(loss, metric, direction=Direction.MAXIMIZE)
        assert found.status is Status.NOT_CHECKABLE


@given(st.lists(st.floats(), max_size=30), st.lists(st.floats(), max_size=30))
def test_no_curve_breaks_the_rule(loss: list[float], metric: list[float]) -> None:
    found = loss_metric_divergence(Curve.of(loss), Curve.of(metric), direction=Direction.MINIMIZE)
    assert found.status in Status
