"""Training functions that workers announce, with the hyperparameters that these declare."""

from __future__ import annotations

import datetime as dt
import json

from django.conf import settings
from django.utils import timezone
from pydantic import TypeAdapter, ValidationError

from experiments.design.document.objective_source import TrainingFunctionSource
from experiments.design.document.objectives import is_allowed
from experiments.models import Worker

_source = TypeAdapter(TrainingFunctionSource)


def offered() -> tuple[TrainingFunctionSource, ...]:
    """Training functions that living workers can import and the operator allows, by name."""
    since = timezone.now() - dt.timedelta(seconds=settings.STALE_AFTER_SECONDS)
    alive = Worker.objects.filter(stopped_at__isnull=True, heartbeat_at__gte=since)
    found: dict[str, TrainingFunctionSource] = {}
    for text in alive.exclude(offers="[]").order_by("pk").values_list("offers", flat=True):
        for entry in json.loads(text):
            read = read_source(entry)
            if read is not None and is_allowed(read.objective, settings.OBJECTIVES):
                found[read.objective] = read
    return tuple(found[name] for name in sorted(found))


def offer_of(objective: str) -> TrainingFunctionSource | None:
    """The offer of one training function, if a living worker makes it."""
    return next((offer for offer in offered() if offer.objective == objective), None)


def read_source(entry: object) -> TrainingFunctionSource | None:
    """A function as a worker described it; None for what another version wrote."""
    try:
        return _source.validate_python(entry) if entry is not None else None
    except ValidationError:
        return None
