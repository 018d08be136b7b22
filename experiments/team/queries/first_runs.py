"""The first run that an external program logged to a project: what its empty pages wait for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from experiments.models import Trial
from experiments.models.experiment import OUTSIDE


@dataclass(frozen=True, slots=True)
class ReceivedRun:
    """The first run that a program logged to a project."""

    experiment: str
    number: int
    started_at: datetime | None


def first_run(slug: str) -> ReceivedRun | None:
    """The first run of a project that an external program logged, None before there is one."""
    rows = Trial.objects.filter(
        study__project__slug=slug,
        study__experiment__sampler=OUTSIDE,
        study__deleted_at__isnull=True,
    ).order_by("pk")
    found = rows.values_list("study__experiment__name", "number", "started_at").first()
    return None if found is None else ReceivedRun(str(found[0]), found[1], found[2])
