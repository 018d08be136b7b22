"""State of a project's baseline."""

from __future__ import annotations

from experiments.design.queries.records import (
    WITH_EXPERIMENT,
    ReplicationRecord,
    replication_record,
)
from experiments.models import Replication
from experiments.models.replication import Purpose
from experiments.team.queries.access import Access


def newest_baseline(access: Access) -> ReplicationRecord | None:
    """The baseline that a project ran last, decided or not; None before the first."""
    rows = Replication.objects.filter(
        experiment__project_id=access.project_id, purpose=Purpose.BASELINE
    ).select_related(*WITH_EXPERIMENT)
    row = rows.order_by("-pk").first()
    return replication_record(row) if row else None


def is_baseline(experiment_id: int) -> bool:
    """Test whether an experiment is a baseline over seeds and not a search."""
    return Replication.objects.filter(
        experiment_id=experiment_id, purpose=Purpose.BASELINE
    ).exists()
