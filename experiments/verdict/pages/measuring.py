"""The three sources of variance: what is being measured, and the buttons that measure."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from experiments.design.queries.experiments import get_experiment
from experiments.design.queries.records import ConfigurationRecord, ExperimentRecord
from experiments.team.pages.access import attempted, in_project
from experiments.team.queries.access import Access
from experiments.verdict.evidence.spread import Measurement, of_candidate
from experiments.verdict.pages.candidates import asked, to_page
from experiments.verdict.queries.replication_state import find_replication, replication_state
from experiments.verdict.services import variance

PURPOSES = ("training_seed", "split_seed", "search_seed")


def measuring(experiment: ExperimentRecord, candidate: ConfigurationRecord) -> dict[str, str]:
    """Running measurements by source, in words; empty for one that may be started."""
    found = of_candidate(experiment, candidate).measurements
    return {purpose: _words(found.get(purpose)) for purpose in PURPOSES}


def _words(measurement: Measurement | None) -> str:
    if measurement is None:
        return ""
    done = len(measurement.scores)
    if measurement.searches_running:
        count = measurement.searches_running
        return f"{count} repeated {'search' if count == 1 else 'searches'} running"
    if measurement.open_runs:
        return f"being measured: {done} of {done + measurement.open_runs} runs"
    return ""


@require_POST
@in_project
def measure(request: HttpRequest, access: Access, name: str, purpose: str) -> HttpResponse:
    """Queue the runs that measure one source."""
    experiment = get_experiment(access, name)
    state = replication_state(experiment.pk, asked(request))
    made = attempted(
        request,
        lambda: variance.measure(
            access=access,
            experiment=experiment,
            purpose=purpose,
            of=None if state is None else find_replication(access, experiment, state.id),
        ),
    )
    if made is not None:
        messages.success(request, "The runs that measure this source are queued.")
    return to_page(request, "seeds", access, name)
