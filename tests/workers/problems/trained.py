"""Runs of a bundled problem without a worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.analysis.curves.early_stopping import EarlyStopping
from experiments.design.metrics import parse
from experiments.trials.series.series_encoding import decode
from workers.problems import diabetes, text
from workers.training.messages import Job, Score, SeriesFlush
from workers.training.run import Run


class StoredMessage:
    """A sink that keeps the values of every series."""

    stop_requested = False

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}

    def series(self, flush: SeriesFlush) -> None:
        for name, columns in decode(flush.payload).items():
            self.values.setdefault(name, []).extend(columns.values.tolist())

    def report(self, step: int, value: float) -> bool:
        return False


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
    job = Job(
        "t",
        "",
        (),
        params,
        train_seed,
        split_seed,
        official.name,
        official.direction or "",
        early_stopping=early_stopping,
    )
    kept = StoredMessage()
    run = Run(job, kept, flush_seconds=3600)
    train(run)
    run.close()
    return Trained(kept.values, {score.name: score.value for score in run.sealed}, run.score)


def fingerprint(kept: Trained) -> str:
    """Of every series and test score, to the last bit."""
    bits = {name: [value.hex() for value in values] for name, values in kept.series.items()}
    tests = {name: value.hex() for name, value in kept.sealed.items()}
    return hashlib.sha256(json.dumps([bits, tests], sort_keys=True).encode()).hexdigest()


def short_runs() -> list[str]:
    """Fingerprints of a short run of each problem, dropout included."""
    return [
        fingerprint(trained(diabetes.train, diabetes.METRICS, epochs=8, dropout=0.2)),
        fingerprint(
            trained(
                text.train,
                text.METRICS,
                epochs=1,
                hidden_units=32,
                batch_size=64,
                dropout=0.2,
                optimizer="bert_adam",
            )
        ),
    ]
