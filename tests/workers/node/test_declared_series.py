from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from experiments.analysis.curves.learning_curve import Direction, MetricKind
from experiments.analysis.curves.throughput import input_bound
from experiments.design.metrics import Metric
from experiments.trials.series.series_encoding import SeriesColumns
from workers.node.declared_series import (
    all_but_the_rate,
    circumstances,
    declared_series,
    learning_rate,
    planned_steps,
    step_times,
)


def columns(values: Any, steps: Any = None, times_ms: Any = None) -> SeriesColumns:
    row = np.asarray(values, dtype=np.float64)
    at = np.arange(1, row.size + 1) if steps is None else np.asarray(steps)
    times = 1000 * at if times_ms is None else np.asarray(times_ms)
    return SeriesColumns(at.astype(np.int64), row, times.astype(np.int64))


def spec(**metrics: Metric) -> Any:
    return SimpleNamespace(
        metrics=metrics, official_metric="score", direction="maximize", kind="search"
    )


def test_declared_kinds_stand_over_names_and_the_official_metric_is_a_validation_metric() -> None:
    found = {
        series.name: series
        for series in declared_series(
            {"score": columns([0.1, 0.2]), "cost": columns([3, 2]), "val/f1": columns([0.2])},
            spec(cost=Metric("cost", "train", "loss", "minimize")),
        )
    }
    assert found["score"].official and found["score"].split == "validation"
    assert found["score"].direction is Direction.MAXIMIZE
    assert found["cost"].kind is MetricKind.LOSS and found["cost"].split == "train"
    assert found["val/f1"].direction is Direction.MAXIMIZE and not found["val/f1"].official


def test_a_bare_loss_beside_the_official_metric_is_the_training_loss() -> None:
    logged = {"loss": columns([2.0, 1.0]), "eval_loss": columns([2.1, 1.4]), "score": columns([0])}
    splits = {series.name: series.split for series in declared_series(logged, spec())}
    assert splits == {"loss": "train", "eval_loss": "validation", "score": "validation"}
    declared = spec(loss=Metric("loss", "validation", "loss", "minimize"))
    (found, *_) = declared_series(logged, declared)
    assert found.split == "validation"


def test_folds_smaller_budgets_and_the_machine_are_not_judged() -> None:
    series = {"score[fold=1]": columns([0.1]), "system/cpu_percent": columns([9.0])}
    assert declared_series(series, spec()) == []


def test_a_resolution_that_nobody_declared_is_read_off_a_metric_that_moves_in_steps() -> None:
    shares = np.array([310, 331, 333, 340, 338, 341]) / 360
    (found,) = declared_series({"score": columns(shares)}, spec())
    assert math.isclose(found.resolution, 1 / 360)
    smooth = np.random.default_rng(1).random(50)
    (found,) = declared_series({"score": columns(smooth)}, spec())
    assert found.resolution == 0.0
    declared = Metric("score", "validation", "metric", "maximize", resolution=0.01)
    (found,) = declared_series({"score": columns(shares)}, spec(score=declared))
    assert found.resolution == 0.01


def test_epochs_are_a_length_only_where_epochs_are_logged() -> None:
    assert planned_steps({"epochs": 60}, 60.0) == 60
    assert planned_steps({"epochs": 60}, 9_000.0) is None
    assert planned_steps({"max_train_steps": 10_000, "epochs": 60}, 9_000.0) == 10_000
    assert planned_steps({}, 10.0) is None


def test_trials_that_differ_in_the_rate_alone_have_the_same_key() -> None:
    first = {"learning_rate": 0.1, "dropout": 0.2}
    assert all_but_the_rate(first) == all_but_the_rate({"dropout": 0.2, "learning_rate": 0.01})
    assert all_but_the_rate(first) != all_but_the_rate({**first, "dropout": 0.3})
    assert learning_rate(first) == 0.1 and math.isnan(learning_rate({"dropout": 0.2}))


def test_an_evaluation_between_steps_is_no_slow_step() -> None:
    steps = np.arange(1, 201)
    seconds = np.ones(200)
    seconds[steps % 20 == 0] = 30.0  # every twentieth step is followed by an evaluation
    times = 1000 * np.cumsum(seconds)
    train = columns(np.ones(200), steps, times)
    evaluated = steps[steps % 20 == 0]
    validation = columns(np.ones(10), evaluated, times[evaluated - 1])
    found, waiting = step_times({"train_loss": train, "validation_loss": validation})
    assert found is not None and waiting is None
    assert not input_bound(found).fired
    alone, _ = step_times({"train_loss": train})
    assert alone is not None and input_bound(alone).fired


def test_logged_waiting_is_told() -> None:
    train = columns(np.ones(60))
    waited = columns(np.full(60, 0.4))
    about = circumstances(
        {"train_loss": train, "data_seconds": waited}, {"gradient_clipping": 1.0}, pruned=False
    )
    assert about.clip_norm == 1.0
    assert about.step_seconds is not None and about.waiting_seconds is not None
    found = input_bound(about.step_seconds, about.waiting_seconds)
    assert found.fired and "40 %" in found.title


def test_no_limit_on_gradients_is_no_clipping() -> None:
    assert circumstances({}, {"gradient_clipping": 0.0}, pruned=False).clip_norm is None
