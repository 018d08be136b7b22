"""Runs of a bundled problem without a worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.analysis.early_stopping import EarlyStopping
from experiments.metrics import parse
from tests.workers.test_run import Recorder, job
from workers.messages import Score
from workers.run import Run


@dataclass(frozen=True, slots=True)
class Trained:
    """`series` holds each metric's values in order, `sealed` the test scores."""

    series: dict[str, list[float]]
    sealed: dict[str, float]
    score: Score


def trained(
    train: Callable[[Run], None],
    metrics: dict[str, dict[str, Any]],
    *,
    train_seed: int = 1,
    split_seed: int = 2,
    early_stopping: EarlyStopping | None = None,
    **params: Any,
) -> Trained:
    """Train once, with the official metric of `metrics`."""
    (official,) = (metric for metric in parse(metrics, []).values() if metric.official)
    sink = Recorder()
    run = Run(
        job(
            params=params,
            train_seed=train_seed,
            split_seed=split_seed,
            official_metric=official.name,
            direction=official.direction,
            early_stopping=early_stopping,
        ),
        sink,
        flush_seconds=3600,
    )
    train(run)
    run.close()
    series = {name: [value for _, value in points] for name, points in sink.points().items()}
    return Trained(series, {each.name: each.value for each in run.sealed}, run.score)


def fingerprint(kept: Trained) -> str:
    """Of every series and test score, to the last bit."""
    bits = {name: [value.hex() for value in values] for name, values in kept.series.items()}
    tests = {name: value.hex() for name, value in kept.sealed.items()}
    return hashlib.sha256(json.dumps([bits, tests], sort_keys=True).encode()).hexdigest()
