"""State of a project's baseline."""

from __future__ import annotations

from experiments.models import Replication
from experiments.models.replication import Purpose
from experiments.team.queries.access import Access


def newest_baseline(access: Access) -> Replication | None:
    """The baseline that a project ran last, decided or not; None before the first."""
    return (
        Replication.objects.filter(
            experiment__project_id=access.project_id, purpose=Purpose.BASELINE
        )
        .select_related("experiment__project", "candidate")
        .order_by("-pk")
        .first()
    )


def is_baseline(experiment_id: int) -> bool:
    """Test whether an experiment is a baseline over seeds and not a search."""
    return Replication.objects.filter(
        experiment_id=experiment_id, purpose=Purpose.BASELINE
    ).exists()
