"""Files of a trial to download: checkpoints, and what its program printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from experiments.errors import NotFound
from experiments.queries.access import Access
from experiments.queries.artifacts import file_of
from experiments.queries.experiments import find_experiment
from experiments.queries.trial_detail import find_trial
from experiments.services.artifacts import whole_path
from experiments.streaming import download
from experiments.trial_names import parse_trial_name
from experiments.views.guard import in_project, required

_BLOCK = 2**20


@require_safe
@in_project
def trial_file(
    request: HttpRequest, access: Access, name: str, trial: str, file: int
) -> HttpResponseBase:
    """One file, always as a download: a browser never shows what a program wrote.

    The address names a record; where the file lies comes from that record alone.
    """
    experiment: Any = required(find_experiment(access, name))
    found = required(find_trial(experiment, required(parse_trial_name(trial))))
    kept = required(file_of(experiment, found, file))
    try:
        path = whole_path(kept.path)
    except ValueError as error:
        raise NotFound("There is no such file.") from error
    if not path.is_file():
        raise NotFound(f"{kept.name} is not on this machine any more.")
    answer = download(
        request,
        _blocks(path),
        content_type="application/octet-stream",
        filename=f"{access.slug} {experiment.name} {trial} {kept.name}",
    )
    answer["Content-Length"] = str(path.stat().st_size)
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
