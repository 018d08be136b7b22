"""Trials through the real queue: real Redis, real worker processes, the database of the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.test import override_settings
from scipy.stats import qmc

from experiments.design.space.search_space import Range
from experiments.models import (
    Artifact,
    Experiment,
    Finding,
    SealedScore,
    SeriesBatch,
    Trial,
    Worker,
)
from experiments.models.trial import Origin, StudyKind, TrialState
from experiments.trials.lifecycle.services import experiments
from experiments.trials.series.queries import series
from experiments.verdict.evidence import evidence
from experiments.verdict.services import replications
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


def test_a_search_runs_to_its_end_with_every_part_recorded(start_worker: Start) -> None:
    experiment = _experiment()
    worker = start_worker()
    wait_until(lambda: _is_finished(experiment), worker=worker)
    trials = list(Trial.objects.order_by("number"))
    assert [trial.number for trial in trials] == list(range(8))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    expected = qmc.Halton(1, scramble=True, rng=np.random.default_rng(5)).random(8)[:, 0]
    drawn = {trial.row: float(trial.parameters.split(":")[1].strip(" }")) for trial in trials}
    space = Range(0.0, 0.8)
    assert [drawn[row] for row in range(8)] == [space.from_unit(u) for u in expected]
    experiment.refresh_from_db()
    assert (experiment.trial_count, experiment.complete_count) == (8, 8)
    assert experiment.best_value == max(trial.value or 0 for trial in trials)
    best = experiment.best_trial
    assert best is not None and best.best_step == 10 and best.evaluations == 10
    assert best.configuration is not None and '"x":' in best.configuration.document
    assert best.environment is not None and "python" in best.environment.document


def test_series_are_read_back_and_test_scores_are_sealed_apart(start_worker: Start) -> None:
    experiment = _experiment(trials=1)
    wait_until(lambda: _is_finished(experiment), worker=start_worker())
    trial = Trial.objects.get()
    curves = series.read([trial.pk])[trial.pk]
    assert set(curves) == {"train_loss", "validation_accuracy"}
    assert curves["train_loss"].values.tolist() == [0.6 / step for step in range(1, 11)]
    assert curves["train_loss"].steps.tolist() == list(range(1, 11))
    assert SealedScore.objects.get().name == "test_accuracy"
    stored = b"".join(
        bytes(each) for each in SeriesBatch.objects.values_list("payload", flat=True)
    )
    assert b"test_accuracy" not in stored


def test_a_diverging_trial_is_infeasible_and_costs_no_other(start_worker: Start) -> None:
    experiment = _experiment(high=1.8)
    wait_until(lambda: _is_finished(experiment), worker=start_worker())
    kinds = set(Trial.objects.filter(state=TrialState.FAILED).values_list("failure_kind"))
    assert kinds == {("infeasible",)}
    experiment.refresh_from_db()
    assert experiment.failed_count + experiment.complete_count == 8
    assert 0 < experiment.failed_count < 8


def test_an_exception_fails_its_trial_with_the_traceback(start_worker: Start) -> None:
    experiment = _experiment(objective="fails_above_a_half", trials=6)
    wait_until(lambda: _is_finished(experiment), worker=start_worker())
    failed = Trial.objects.filter(state=TrialState.FAILED, failure_kind="exception").first()
    assert failed is not None and "x is too large for me" in failed.traceback
    assert Trial.objects.filter(state=TrialState.COMPLETE).exists()


def test_a_divergence_is_recorded_while_its_trial_runs(start_worker: Start) -> None:
    experiment = _experiment(objective="diverges_and_goes_on", trials=1)
    worker = start_worker()
    found = Finding.objects.filter(rule="divergence", status="fired")
    wait_until(found.exists, worker=worker)
    assert Trial.objects.get().state == TrialState.RUNNING
    assert "step 4" in found.get().title
    experiments.stop(access=cast.access("ada", experiment), experiment=experiment)
    wait_until(lambda: Trial.objects.get().state != TrialState.RUNNING, worker=worker)


def test_after_each_trial_the_rules_have_looked(start_worker: Start) -> None:
    experiment = _experiment(trials=3)
    worker = start_worker()
    wait_until(lambda: _is_finished(experiment), worker=worker)
    # The last look follows the result.
    seen = Finding.objects.filter(trial__isnull=False, rule="overfitting")
    wait_until(lambda: seen.count() == 3, worker=worker)
    of_the_search = Finding.objects.filter(trial__isnull=True, rule="boundary")
    wait_until(of_the_search.exists, worker=worker)


def test_tpe_and_the_median_pruner_work_on_our_tables(start_worker: Start) -> None:
    experiment = _experiment(
        sampler="{name: tpe, n_startup_trials: 4}",
        pruner="{name: median, n_startup_trials: 2}",
        trials=16,
    )
    wait_until(lambda: _is_finished(experiment), worker=start_worker())
    states = list(Trial.objects.values_list("state", flat=True))
    assert len(states) == 16 and states.count(TrialState.PRUNED) > 0
    assert states.count(TrialState.PRUNED) + states.count(TrialState.COMPLETE) == 16


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


def test_a_replication_over_seeds_reaches_its_verdict(start_worker: Start) -> None:
    experiment = _experiment(trials=6)
    worker = start_worker()
    wait_until(lambda: _is_finished(experiment), worker=worker)
    ranked = Trial.objects.filter(study__kind=StudyKind.SEARCH).order_by("-value")
    replication = replications.declare(
        access=cast.access("ada", Experiment.objects.get()),
        experiment=Experiment.objects.get(),
        candidate_trial=ranked[0],
        baseline_trial=ranked[5],
        looks=(4,),
        margin=0.001,
    )
    wait_until(lambda: evidence.evaluate(replication).open_runs == 0, worker=worker)
    found = evidence.evaluate(replication)
    assert found.verdict is not None
    assert found.outcome == "adopt", found.verdict.reason or found.verdict.sentence
    assert not found.verdict.on_this_split
    replicates = Trial.objects.filter(origin=Origin.REPLICATE)
    assert replicates.count() == 8 and set(replicates.values_list("pair", flat=True)) == set(
        range(4)
    )


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
