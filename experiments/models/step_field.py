"""Steps of training as columns."""

from __future__ import annotations

from django.db import models


class StepField(models.FloatField):  # type: ignore[type-arg]
    """A step as it was told: an int where it is a whole number, a float between two of them."""

    def from_db_value(self, value: float | None, *_: object) -> float | None:
        return int(value) if value is not None and value == int(value) else value
