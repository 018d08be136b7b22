"""An objective imported by a worker that was asked through the service."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings

from experiments.design.document import experiment_file
from experiments.design.queries.offers import offered
from experiments.models import Trial, Worker
from experiments.trials.lifecycle.queries.dry_runs import DryRun, find_dry_run
from experiments.trials.lifecycle.services import dry_runs, experiments, objective_checks
from tests import cast
from tests.services_under_test.worker import WorkerProcess, wait_until
from workers.node import objective_checks as node_checks
from workers.node.objective_checks import ObjectiveChecker

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
    assert "tests.workers.quick_objectives:bowl" in {offer.objective for offer in offered()}
    for function, state in (("bowl", "passed"), ("bowls", "failed")):
        file = experiment_file.parse(TEXT.format(name="one", function=function))

        def answered(file: experiment_file.ExperimentFile = file, state: str = state) -> bool:
            return objective_checks.check(access=cast.access("ada"), file=file).state == state

        wait_until(answered, worker=worker)
    report = objective_checks.check(access=cast.access("ada"), file=file)
    assert report.nearest == "tests.workers.quick_objectives:bowl"
    assert report.worker == Worker.objects.get().name


def test_offers_stay_when_listing_them_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failed = {"fault": "its import takes longer than 30 s", "log": "numpy"}
    listings = [failed, {"offers": [1]}, failed, {"offers": [2]}]
    recorded: list[str] = []
    monkeypatch.setattr(node_checks, "inspected", lambda *_: listings.pop(0))
    monkeypatch.setattr(node_checks.workers, "offer", lambda **new: recorded.append(new["offers"]))
    monkeypatch.setattr(ObjectiveChecker, "_run", lambda _: None)
    checker = ObjectiveChecker(worker_id=1, queue_names=["cpu"], devices=[], hidden=[])
    while listings:
        checker._offer()
        checker.poll(asked=True)
        assert not checker._due.is_set(), "a listing that fails is not tried for ever"
    assert recorded == ["[1]", "[2]"]
    assert caplog.text.count("its import takes longer than 30 s\nnumpy") == 2


def test_a_worker_tries_one_trial_and_reports_its_curve(
    monkeypatch: pytest.MonkeyPatch, start_worker: Callable[..., WorkerProcess]
) -> None:
    monkeypatch.setattr(settings, "OBJECTIVES", ["tests.workers"])
    cast.project()
    worker = start_worker(slots=1)
    wait_until(Worker.objects.exists, worker=worker)
    text = TEXT.format(name="one", function="bowl")
    number = dry_runs.start(access=cast.access("ada"), text=f"{text}first: [{{x: 0.25}}]\n")

    def found() -> DryRun:
        run = find_dry_run(cast.access("ada"), number)
        assert run is not None
        return run

    wait_until(lambda: not found().is_open, worker=worker)
    run = found()
    assert run.state == "done", run.reason
    assert run.parameters == {"x": 0.25} and run.seconds and run.peak_memory_mb
    curves = {series.name: series for series in run.series}
    assert list(curves["validation_accuracy"].steps) == list(range(1, 11))
    assert "test_accuracy" in run.names and "test_accuracy" not in curves, "it stays sealed"
    assert not Trial.objects.exists() and run.whole_search is not None
