"""Which names of experiments a project has given away."""

from __future__ import annotations

from experiments.models import Experiment
from experiments.team.queries.access import Access


def is_taken(access: Access, name: str) -> bool:
    """Whether the project has an experiment of this name already."""
    return Experiment.objects.filter(project_id=access.project_id, name=name).exists()
