"""Files of a trial to download: checkpoints, and what its program printed."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from experiments import kept_files
from experiments.queries.access import Access
from experiments.queries.artifacts import file_of
from experiments.queries.experiments import find_experiment
from experiments.queries.trial_detail import find_trial
from experiments.trial_names import parse_trial_name
from experiments.views.guard import in_project, required


@require_safe
@in_project
def trial_file(
    request: HttpRequest, access: Access, name: str, trial: str, file: int
) -> HttpResponseBase:
    """One file. The address names a record; where the file lies comes from that record alone."""
    experiment: Any = required(find_experiment(access, name))
    found = required(find_trial(experiment, required(parse_trial_name(trial))))
    kept = required(file_of(experiment, found, file))
    filename = f"{access.slug} {experiment.name} {trial} {kept.name}"
    return kept_files.sent(request, kept, filename=filename)
