"""Batch sizes measured by a worker that somebody asked through the page's service."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings

from experiments.models import BatchSizeProbe, Experiment, Trial, Worker
from experiments.trials.lifecycle.queries.batch_sizes import Measurement, measurements
from experiments.trials.lifecycle.services import batch_sizes, experiments
from tests import cast
from tests.services_under_test.worker import WorkerProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., WorkerProcess]

TEXT = """
project: digits
experiment: {name}
goal: How large a batch does the machine like?
objective: {objective}
search: {{sampler: halton, trials: 1, parallel: 1, seed: 5}}
hyperparameters:
  learning_rate: {{role: nuisance, low: 1.0e-4, high: 1.0e-1, log: true}}
  epochs: {{role: fixed, value: 500}}
  hidden_units: {{role: fixed, value: 8}}
"""


@pytest.fixture(autouse=True)
def project(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "OBJECTIVES", ["workers.problems", "tests.workers"])
    cast.project()


def _paused(name: str, objective: str) -> Experiment:
    """Whose trials are not begun, so that all slots are free."""
    text = TEXT.format(name=name, objective=objective)
    experiment = experiments.create(access=cast.access("ada"), text=text)
    experiments.pause(access=cast.access("ada", experiment), experiment=experiment)
    return experiment


def _ask(experiment: Experiment, *, largest: int = 4096) -> None:
    batch_sizes.ask(
        access=cast.access("cleo", experiment),
        experiment=experiment,
        parameter="batch_size",
        first=256,
        largest=largest,
        steps=3,
    )


def _start(start_worker: Start, objectives: str) -> WorkerProcess:
    worker = start_worker(slots=1, objectives=objectives)
    wait_until(Worker.objects.filter(stopped_at__isnull=True).exists, worker=worker)
    return worker


def _found(experiment: Experiment) -> Measurement:
    (found,) = (
        measurement
        for measurement in measurements(experiment.project_id)
        if measurement.experiment == experiment.name
    )
    return found


def test_a_worker_measures_one_size_after_another_on_its_device(start_worker: Start) -> None:
    experiment = _paused("steps", "tests.workers.quick_objectives:steps_without_end")
    worker = _start(start_worker, "tests.workers")
    _ask(experiment, largest=512)
    wait_until(lambda: not _found(experiment).is_open, worker=worker)
    found = _found(experiment)
    assert found.state == "done", found.answer
    assert found.device == "cpu" and found.host
    assert [row.batch for row in found.rows] == [256, 512]
    first = found.rows[0]
    assert first.examples_per_second and first.milliseconds and first.peak_memory_mb
    assert first.examples_per_second * first.milliseconds == pytest.approx(256_000)
    assert found.answer.startswith("Take ")
    assert Trial.objects.exclude(state=4).count() == 0, "no trial was begun"


def test_one_that_runs_is_cancelled_or_handed_back_and_a_function_not_listed_is_not_run(
    start_worker: Start,
) -> None:
    experiment = _paused("blocks", "tests.workers.quick_objectives:waits_for_ever")
    worker = _start(start_worker, "tests.workers")
    _ask(experiment)
    wait_until(lambda: _found(experiment).state == "running", worker=worker)
    probe = BatchSizeProbe.objects.get()
    batch_sizes.cancel(access=cast.access("cleo", experiment.project), probe_id=probe.pk)
    wait_until(lambda: _found(experiment).state == "cancelled", worker=worker)
    BatchSizeProbe.objects.all().delete()

    elsewhere = _paused("digits", "workers.problems.digits:train")
    _ask(elsewhere)
    wait_until(lambda: _found(elsewhere).state == "failed", worker=worker)
    assert "is not on this worker's list" in _found(elsewhere).answer

    _ask(experiment)
    wait_until(lambda: _found(experiment).state == "running", worker=worker)
    assert worker.terminate() == 0
    assert _found(experiment).state == "waiting"
