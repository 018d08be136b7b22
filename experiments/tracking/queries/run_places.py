"""Pages of the experiments and runs that clients know by their ids."""

from __future__ import annotations

from django.contrib.auth.models import User

from experiments.models import Experiment, Trial
from experiments.team.queries import access
from experiments.trials.table.queries.filtered_trials import run_id_of


def of_experiment(user: User, experiment_id: int) -> tuple[str, str] | None:
    """Slug and name of an experiment, None for one that the person may not see."""
    rows = Experiment.objects.filter(
        pk=min(experiment_id, 2**63 - 1), project__in=access.visible_projects(user)
    )
    return rows.values_list("project__slug", "name").first()


def of_run(user: User, run_id: str) -> tuple[str, str, str] | None:
    """Slug, name of the experiment and number of a run, None for one that the person may not
    see.
    """
    rows = Trial.objects.filter(
        run_id=run_id_of(run_id),
        run_id__isnull=False,
        study__deleted_at__isnull=True,
        study__project__in=access.visible_projects(user),
    )
    found = rows.values_list("study__project__slug", "study__experiment__name", "number").first()
    return None if found is None else (found[0], str(found[1]), str(found[2]))
