"""What a training run logs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from experiments.models import SeriesBatch
from experiments.trials.series.series_encoding import encode
from tests.cast.experiment_files import EPOCHS

START = dt.datetime(2026, 11, 20, 9, 0, tzinfo=dt.UTC)


def curves(
    quality: float, rng: np.random.Generator, *, epochs: int = EPOCHS, overfits: float = 0.0
) -> dict[str, NDArray[np.float64]]:
    """Series of one training run [T]; `quality` is about its final accuracy."""
    t = np.arange(1, epochs + 1)
    floor = 1.35 * (1 - quality) + 0.02
    rise = overfits * np.clip(t - 0.4 * EPOCHS, 0, None)
    validation = 2.2 * np.exp(-t / 7) + floor + rise + rng.normal(0, 0.006, epochs)
    train = 2.25 * np.exp(-t / 6) + floor * (0.55 - 6 * overfits) + rng.normal(0, 0.003, epochs)
    accuracy = quality - 0.8 * np.exp(-t / 5) - 0.2 * rise + rng.normal(0, 0.0012, epochs)
    return {
        "train_loss": np.clip(train, 1e-3, None),
        "validation_loss": np.clip(validation, 1e-3, None),
        "validation_accuracy": np.round(np.clip(accuracy, 0.05, 1), 5),
        "learning_rate": 1e-3 * (0.5 + 0.5 * np.cos(np.pi * t / EPOCHS)),
        "gradient_norm": 3.0 * np.exp(-t / 15) + 0.4 + rng.normal(0, 0.05, epochs) ** 2,
    }


def log(
    trial_id: int,
    series: Mapping[str, NDArray[np.float64]],
    *,
    attempt: int = 1,
    batches: int = 4,
    first_batch: int = 0,
    first_step: int = 1,
    started: dt.datetime = START,
) -> None:
    """Store series in flushes, one evaluation every 0.18 s."""
    length = len(next(iter(series.values())))
    first_ms = int(started.timestamp() * 1000)
    flushes = []
    for number, part in enumerate(np.array_split(np.arange(length), min(batches, length))):
        calls = [
            (
                first_step + int(i),
                first_ms + 180 * (first_step + int(i)),
                {name: float(values[i]) for name, values in series.items()},
            )
            for i in part
        ]
        flushes.append(
            SeriesBatch(
                trial_id=trial_id,
                attempt=attempt,
                batch=first_batch + number,
                points=len(calls) * len(series),
                first_step=calls[0][0],
                last_step=calls[-1][0],
                payload=encode(calls),
            )
        )
    SeriesBatch.objects.bulk_create(flushes)
