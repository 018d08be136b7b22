"""A quasi-random set is the same for many slots as for one, whatever happens to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from scipy.stats import qmc

from experiments.design.document import experiment_file
from experiments.models import Experiment, Trial, Worker
from experiments.models.trial import Origin, TrialState
from experiments.trials.lifecycle.services import added_trials, experiments
from tests import cast
from tests.services_under_test.worker import WorkerProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., WorkerProcess]

TEXT = """
project: digits
experiment: bowl-{seed}
goal: Where is the bottom of the bowl?
objective: tests.workers.quick_objectives:breaks_at_the_edge
search: {{sampler: halton, trials: {trials}, parallel: 8, seed: {seed}}}
hyperparameters:
  smoothing: {{role: scientific, choices: [0.0, 0.1]}}
  x:         {{role: nuisance, low: 0.0, high: 1.0}}
  rate:      {{role: nuisance, low: 1e-4, high: 1e-1, log: true}}
  units:     {{role: nuisance, low: 1, high: 7}}
  form:      {{role: nuisance, choices: [a, b, c]}}
  share:     {{role: nuisance, low: 0.1, high: 0.9, step: 0.2}}
  pause:     {{role: fixed, value: 0.02}}
first:
  - {{x: 0.5, rate: 1e-3, units: 3, form: b, share: 0.5}}
  - {{smoothing: 0.1, x: 0.25, rate: 1e-2, units: 5, form: a, share: 0.1}}
"""
WORKERS, SLOTS = 4, 2  # eight training processes


@pytest.fixture(autouse=True)
def allow_test_objectives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "OBJECTIVES", ["tests.workers"])


def _created(seed: int, trials: int) -> Experiment:
    text = TEXT.format(seed=seed, trials=trials)
    return experiments.create(access=cast.access("ada"), text=text)


def _wait_for(made: list[Experiment], worker: WorkerProcess) -> None:
    running = Experiment.objects.filter(
        pk__in=[experiment.pk for experiment in made], state="running"
    )
    wait_until(lambda: not running.exists(), worker=worker)


def _kill_one_in_a_trial(workers: list[WorkerProcess]) -> int:
    """Kill -9 a worker that holds a running trial; the trial's id."""
    running = Trial.objects.filter(state=TrialState.RUNNING, worker__isnull=False)
    for _ in range(100):
        wait_until(lambda: running.exists(), worker=workers[0])
        trial = running.select_related("worker").first()
        if trial is None or trial.worker is None:
            continue
        pids = [worker.child.process.pid for worker in workers]
        killed = workers.pop(pids.index(trial.worker.pid))
        killed.kill()
        trial.refresh_from_db()
        if trial.state == TrialState.RUNNING:
            killed.has_long_been_silent()
            return trial.pk
    raise AssertionError("no worker was caught in the middle of a trial")


def _drawn(experiment: Experiment, arm: int) -> dict[int, dict[str, Any]]:
    """The parameters of an arm's rows; every row once."""
    trials = Trial.objects.filter(study__experiment=experiment, study__arm_index=arm)
    rows = trials.filter(origin=Origin.SAMPLER).values_list("row", "parameters")
    found = {row: json.loads(text) for row, text in rows}
    assert len(found) == len(rows)
    return found


def _of_scipy(experiment: Experiment, count: int) -> dict[int, dict[str, Any]]:
    (arm, _) = experiment_file.parse(experiment.source).arms()
    rng = np.random.default_rng(experiment.seed)
    points = qmc.Halton(len(arm.searched), scramble=True, rng=rng).random(count)
    return {row: arm.from_unit(point) for row, point in enumerate(points.tolist())}


def test_eight_slots_a_killed_worker_a_retry_and_a_larger_budget_draw_scipys_prefix(
    start_worker: Start,
) -> None:
    cast.project()
    search, other = _created(5, 20), _created(6, 4)
    workers = [start_worker(slots=SLOTS) for _ in range(WORKERS)]
    lost = _kill_one_in_a_trial(workers)
    _wait_for([search, other], workers[0])
    assert _drawn(search, 0) == _drawn(search, 1) == _of_scipy(search, 20)
    failed = Trial.objects.filter(study__experiment=search, state=TrialState.FAILED).first()
    assert failed is not None and failed.parameters and json.loads(failed.parameters)["x"] > 0.95
    again = added_trials.retry(access=cast.access("ada", failed), trial=failed)
    added_trials.extend_budget(access=cast.access("ada", search), experiment=search, per_arm=50)
    _wait_for([search], workers[0])
    assert _drawn(search, 0) == _drawn(search, 1) == _of_scipy(search, 50)
    assert _drawn(other, 0) == _of_scipy(other, 4)
    assert not any(point in _drawn(search, 0).values() for point in _drawn(other, 0).values())
    retried, killed = Trial.objects.get(pk=again), Trial.objects.get(pk=lost)
    assert (retried.row, retried.parameters) == (failed.row, failed.parameters)
    assert killed.attempt == 2 and killed.state in (TrialState.COMPLETE, TrialState.FAILED)
    firsts = Trial.objects.filter(study__experiment=search, origin=Origin.FIRST)
    assert list(firsts.order_by("study__arm_index").values_list("study__arm_index", "row")) == [
        (0, None),
        (1, None),
        (1, None),
    ]
    ran = Worker.objects.filter(trials__isnull=False).distinct().count()
    assert Worker.objects.count() == WORKERS and ran >= 2
