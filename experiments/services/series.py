"""Append flushes of points and sealed test scores."""

from __future__ import annotations

import math

from django.db import IntegrityError, transaction
from django.db.models import F

from experiments.models import SealedScore, SeriesBatch, Trial
from experiments.models.trial import TrialState


def append(
    *,
    trial_id: int,
    attempt: int,
    batch: int,
    payload: bytes,
    points: int,
    first_step: int,
    last_step: int,
    latest_value: float | None = None,
    latest_step: int | None = None,
) -> bool:
    """Append one flush; the same (trial, attempt, batch) again changes nothing.

    A flush of an attempt that was taken over is kept and marked, never lost and never drawn.

    Returns:
        Whether the attempt still holds the trial.
    """
    held = Trial.objects.filter(pk=trial_id, attempt=attempt, state=TrialState.RUNNING)
    with transaction.atomic():
        if latest_step is None:
            alive = held.select_for_update().exists()
        else:
            finite = latest_value is not None and math.isfinite(latest_value)
            alive = bool(
                held.update(
                    latest_value=latest_value if finite else F("latest_value"),
                    latest_step=latest_step,
                )
            )
        try:
            with transaction.atomic():
                SeriesBatch.objects.create(
                    trial_id=trial_id,
                    attempt=attempt,
                    batch=batch,
                    payload=payload,
                    points=points,
                    first_step=first_step,
                    last_step=last_step,
                    fenced=not alive,
                )
        except IntegrityError:
            if not SeriesBatch.objects.filter(
                trial_id=trial_id, attempt=attempt, batch=batch
            ).exists():
                raise
    return alive


def seal(*, trial_id: int, name: str, value: float) -> None:
    """Keep a test score where only a recorded opening shows it; a new attempt's replaces it."""
    SealedScore.objects.update_or_create(
        trial_id=trial_id,
        name=name[:200],
        defaults={"value": value if math.isfinite(value) else None},
    )
