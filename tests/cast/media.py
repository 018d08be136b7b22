"""What a program logged beside its metrics."""

from __future__ import annotations

from typing import get_args

import numpy as np

from experiments.models import Trial
from experiments.trials.artifacts.services import files
from experiments.trials.artifacts.services.files import LoggedKind
from workers.training.media import (
    Media,
    media_of_confusion_matrix,
    media_of_histogram,
    media_of_image,
    media_of_roc_curve,
    media_of_table,
)


def some_media(trial: Trial) -> None:
    """Images of three steps, a table, a histogram, a figure and a text."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, 48)[:, None] * np.ones((48, 64))
    for step in (1, 10, 20):
        _store(trial, "samples.png", media_of_image(ramp ** (step / 10)), step)
    rows = [{"image": number, "true": 3, "predicted": 8} for number in range(12)]
    _store(trial, "errors.csv", media_of_table(rows))
    _store(trial, "weights/first layer.json", media_of_histogram(rng.normal(size=2000)), 20)
    labels = rng.integers(0, 4, 200)
    scores = np.eye(4)[labels] + rng.normal(0, 0.6, (200, 4))
    names = ["ant", "bee", "cat", "dog"]
    _store(trial, "confusion.json", media_of_confusion_matrix(labels, scores, names))
    _store(trial, "roc.json", media_of_roc_curve(labels == 0, scores[:, 0]))
    _store(trial, "notes.txt", Media(b"Class 3 is often taken for 8.", "text", ".txt"))


def log_image(trial: Trial, *, step: int) -> None:
    """One image more."""
    _store(trial, "samples.png", media_of_image(np.full((48, 64), 0.5)), step)


def _store(trial: Trial, name: str, media: Media, step: int | None = None) -> None:
    kind = next(argument for argument in get_args(LoggedKind) if argument == media.kind)
    files.store(trial_id=trial.pk, name=name, parts=[media.content], kind=kind, step=step)
