"""Files of a trial to download: checkpoints, and what its program printed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from experiments.design.queries.experiments import get_experiment
from experiments.design.trial_names import parse_trial_name
from experiments.team.pages.access import in_project, required
from experiments.team.queries.access import Access
from experiments.trials.artifacts.queries.artifacts import file_of
from experiments.trials.panels import file_downloads
from experiments.trials.table.queries.trial_detail import find_trial


@require_safe
@in_project
def trial_file(
    request: HttpRequest, access: Access, name: str, trial: str, file: int
) -> HttpResponseBase:
    """One file. The address names a record; where the file lies comes from that record alone."""
    experiment = get_experiment(access, name)
    found = required(find_trial(experiment, required(parse_trial_name(trial))))
    stored = required(file_of(experiment, found, file))
    filename = f"{access.slug} {experiment.name} {trial} {stored.name}"
    return file_downloads.sent(stored.path, stored.sha256, filename=filename)
