from __future__ import annotations

import json
import math

import numpy as np

from experiments.analysis.curves import trial_reading
from experiments.analysis.curves.learning_curve import Curve, Direction, MetricKind
from experiments.analysis.curves.trial_findings import DeclaredSeries, diagnose_trial
from experiments.analysis.curves.trial_reading import TrialReading, read_trial
from experiments.analysis.space.learning_rate import (
    RateTrial,
    learning_rate_regimes,
    read_rate_trial,
)

STEPS = np.arange(1, 61)
LOSS = 2.0 * np.exp(-STEPS / 10) + 0.05


def series(loss: np.ndarray = LOSS) -> list[DeclaredSeries]:
    return [
        DeclaredSeries("train_loss", Curve.of(loss, STEPS), "train", MetricKind.LOSS),
        DeclaredSeries(
            "validation_accuracy",
            Curve.of(1 - loss / 4, STEPS),
            "validation",
            MetricKind.METRIC,
            Direction.MAXIMIZE,
            official=True,
        ),
        DeclaredSeries("examples_per_second", Curve.of([90.0, 110.0, 100.0])),
    ]


def reading(loss: np.ndarray = LOSS, **more: object) -> TrialReading:
    found = diagnose_trial(series(loss))
    return read_trial(series(loss), found, direction=Direction.MAXIMIZE, **more)  # type: ignore[arg-type]


def test_a_reading_survives_its_own_json_to_the_last_bit() -> None:
    read = reading(rate=0.003, others="wide")
    again = trial_reading.from_document(read.document())
    assert again is not None and again.document() == read.document()
    assert again.rate == read.rate
    assert json.loads(read.document())["version"] == trial_reading.VERSION


def test_numbers_that_are_not_finite_survive_too() -> None:
    again = trial_reading.from_document(TrialReading().document())
    assert again is not None and math.isnan(again.fit) and again.rate is None


def test_a_reading_of_another_version_is_not_trusted() -> None:
    text = TrialReading().document().replace('"version":2', '"version":0')
    assert trial_reading.from_document(text) is None


def test_what_rules_across_trials_need_is_read_off() -> None:
    read = reading(rate=0.003)
    assert read.trained and not read.early_divergence
    assert read.best_step_share == 1.0 and read.last_step == 60
    assert 0.02 < read.fit < 0.04 and math.isnan(read.fit_step)
    assert read.throughput == 100.0
    assert read.rules["overfitting"] == "passed"


def test_a_run_that_fell_apart_at_once_is_told_as_such() -> None:
    broken = np.where(STEPS > 2, np.nan, LOSS)
    read = reading(broken)
    assert not read.trained and read.early_divergence and read.rate is None


def test_regimes_from_readings_are_those_from_curves() -> None:
    rng = np.random.default_rng(4)
    trials = []
    for rate, pace in ((1e-4, 400.0), (1e-3, 60.0), (1e-2, 12.0), (1e-1, 15.0), (1.0, 1e9)):
        fall = 2.0 * np.exp(-STEPS / pace) + rng.normal(0, 0.003, 60)
        trials.append(RateTrial(rate, Curve.of(fall, STEPS), Curve.of(fall + 0.1, STEPS)))
    expected = learning_rate_regimes(trials, trial_sd=0.01)
    readings = [read_rate_trial(trial) for trial in trials]
    assert learning_rate_regimes(readings, trial_sd=0.01) == expected
    assert len(set(expected)) > 1
