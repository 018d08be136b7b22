"""An objective imported by a worker that was asked through the service."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings

from experiments.design.document import experiment_file
from experiments.design.queries.offers import offered
from experiments.models import Worker
from experiments.trials.lifecycle.services import experiments, objective_checks
from tests import cast
from tests.services_under_test.worker import WorkerProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = """
project: digits
experiment: {name}
goal: Can it run?
objective: tests.workers.quick_objectives:{function}
search: {{sampler: halton, trials: 1}}
hyperparameters:
  x: {{role: nuisance, low: 0.0, high: 1.0}}
"""


def test_a_worker_whose_slots_are_busy_imports_an_objective_and_offers_those_there_are(
    monkeypatch: pytest.MonkeyPatch, start_worker: Callable[..., WorkerProcess]
) -> None:
    monkeypatch.setattr(settings, "OBJECTIVES", ["tests.workers"])
    cast.project()
    busy = TEXT.format(name="busy", function="waits_for_ever")
    experiment = experiments.create(access=cast.access("ada"), text=busy)
    worker = start_worker(slots=1)
    running = experiment.studies.filter(trials__state=0)
    wait_until(lambda: running.exists() and bool(offered()), worker=worker)
    assert "tests.workers.quick_objectives:bowl" in {each.objective for each in offered()}
    for function, state in (("bowl", "passed"), ("bowls", "failed")):
        file = experiment_file.parse(TEXT.format(name="one", function=function))

        def answered(file: experiment_file.ExperimentFile = file, state: str = state) -> bool:
            return objective_checks.check(access=cast.access("ada"), file=file).state == state

        wait_until(answered, worker=worker)
    report = objective_checks.check(access=cast.access("ada"), file=file)
    assert report.nearest == "tests.workers.quick_objectives:bowl"
    assert report.worker == Worker.objects.get().name
