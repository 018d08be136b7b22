"""Trials through the real queue: real Redis, real worker processes, the database of the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings

from experiments.models import (
    Artifact,
    Experiment,
    Finding,
    Trial,
    Worker,
)
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import experiments
from experiments.trials.series.queries import series
from tests import cast
from tests.services_under_test.redis_server import RedisServer
from tests.services_under_test.worker import WorkerProcess, wait_until
from tests.workers.run_memory import Memory
from tests.workers.slot_owner import job
from workers.problems import svm
from workers.training.passes import MultiPassRun

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., WorkerProcess]

TEXT = """
project: digits
experiment: {name}
goal: Where is the bottom of the bowl?
objective: tests.workers.quick_objectives:{objective}
search: {{sampler: {sampler}, trials: {trials}, parallel: 2, seed: 5, pruner: {pruner}}}
hyperparameters:
  x: {{role: nuisance, low: 0.0, high: {high}}}
  pause: {{role: fixed, value: {pause}}}
"""


@pytest.fixture(autouse=True)
def allow_test_objectives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "OBJECTIVES", ["tests.workers"])


def _experiment(**more: object) -> Experiment:
    fields: dict[str, object] = {
        "name": "bowl",
        "objective": "bowl",
        "sampler": "halton",
        "pruner": "none",
        "trials": 8,
        "high": 0.8,
        "pause": 0.0,
    }
    cast.project()
    return experiments.create(access=cast.access("ada"), text=TEXT.format(**(fields | more)))


def _is_finished(experiment: Experiment) -> bool:
    return Experiment.objects.get(pk=experiment.pk).state == "finished"


def test_a_divergence_is_recorded_while_its_trial_runs(start_worker: Start) -> None:
    experiment = _experiment(objective="diverges_and_goes_on", trials=1)
    worker = start_worker()
    found = Finding.objects.filter(rule="divergence", status="fired")
    wait_until(found.exists, worker=worker)
    assert Trial.objects.get().state == TrialState.RUNNING
    assert "step 4" in found.get().title
    experiments.stop(access=cast.access("ada", experiment), experiment=experiment)
    wait_until(lambda: Trial.objects.get().state != TrialState.RUNNING, worker=worker)


def test_a_killed_worker_loses_no_trial(start_worker: Start) -> None:
    experiment = _experiment(pause=0.05, trials=8)
    first = start_worker()
    wait_until(lambda: Trial.objects.filter(state=TrialState.RUNNING).count() == 2, worker=first)
    first.kill()
    first.has_long_been_silent()
    second = start_worker()
    wait_until(lambda: _is_finished(experiment), worker=second)
    trials = Trial.objects.order_by("number")
    assert [trial.number for trial in trials] == list(range(8))
    assert sorted(trial.row or 0 for trial in trials) == list(range(8))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert max(trial.attempt for trial in trials) == 2
    experiment.refresh_from_db()
    assert experiment.trial_count == 8


def test_a_worker_that_is_asked_to_end_hands_its_trials_back(start_worker: Start) -> None:
    _experiment(pause=0.5, trials=2)
    worker = start_worker()
    wait_until(lambda: Trial.objects.filter(state=TrialState.RUNNING).count() == 2, worker=worker)
    assert worker.terminate() == 0
    assert {trial.state for trial in Trial.objects.all()} == {TrialState.WAITING}
    assert Worker.objects.get().stopped_at is not None


def test_an_emptied_redis_stops_nothing(start_worker: Start, redis_server: RedisServer) -> None:
    experiment = _experiment(pause=0.02, trials=8)
    redis_server.client.flushall()
    worker = start_worker()
    wait_until(lambda: Trial.objects.filter(state=TrialState.COMPLETE).exists(), worker=worker)
    redis_server.client.flushall()
    wait_until(lambda: _is_finished(experiment), worker=worker)
    assert Trial.objects.filter(state=TrialState.COMPLETE).count() == 8


def test_stopping_ends_running_trials_at_their_next_step(start_worker: Start) -> None:
    experiment = _experiment(pause=1.0, trials=8)
    worker = start_worker()
    wait_until(lambda: Trial.objects.filter(latest_step__gte=1).count() >= 1, worker=worker)
    experiments.stop(access=cast.access("ada", experiment), experiment=experiment)
    wait_until(lambda: not Trial.objects.filter(state=TrialState.RUNNING).exists(), worker=worker)
    assert Trial.objects.filter(stopped_early=True).exists()
    assert Trial.objects.count() <= 3


FOLDED = """
project: digits
experiment: folded
goal: Is a machine that dies between two folds as good as one that lives?
objective: workers.problems.svm:descend
search: {sampler: halton, trials: 1, parallel: 1, seed: 5}
folds: 3
hyperparameters:
  learning_rate: {role: nuisance, low: 0.001, high: 0.002}
  epochs: {role: fixed, value: 150}
"""


def test_a_trial_whose_worker_dies_within_a_fold_loses_no_fold_and_no_point(
    start_worker: Start, tmp_path: Path
) -> None:
    told = {"objectives": "workers.problems", "CHECKPOINT_SECONDS": "0"}
    told["ARTIFACTS_DIR"] = str(tmp_path / "artifacts")
    cast.project()
    with override_settings(OBJECTIVES=["workers.problems"]):
        experiment = experiments.create(access=cast.access("ada"), text=FOLDED)
    first = start_worker(**told)
    in_the_second = Artifact.objects.filter(kind="pass checkpoint", name__contains="-pass-2-")
    wait_until(in_the_second.exists, worker=first)
    first.kill()
    first.has_long_been_silent()
    second = start_worker(**told)
    wait_until(lambda: _is_finished(experiment), worker=second)

    trial = Trial.objects.get()
    assert trial.attempt == 2 and '"[fold=1]"' in trial.resumed
    curves = series.read([trial.pk])[trial.pk]
    for fold in (1, 2, 3):
        steps = curves[f"validation_accuracy[fold={fold}]"].steps
        assert steps.tolist() == list(range(1, 151)), "without a gap, none twice"
    params = {"epochs": 150, **json.loads(trial.parameters)}
    seeds = {"train_seed": trial.train_seed, "split_seed": trial.split_seed}
    unbroken = MultiPassRun(job("x", params=params, folds=3, **seeds), Memory())
    unbroken.call(svm.descend)
    assert (trial.value, list(unbroken.folds)) == (
        unbroken.score.value,
        [float(curves[f"validation_accuracy[fold={fold}]"].values.max()) for fold in (1, 2, 3)],
    )
