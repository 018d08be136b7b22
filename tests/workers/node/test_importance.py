from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from experiments.models import Experiment, ParameterImportance, Trial
from experiments.trials.findings.queries.importance import (
    LEAST_TRIALS,
    ScoredTrial,
    importance_due,
    importance_of,
    scored_trials,
)
from experiments.trials.findings.services import importance as importance_service
from experiments.trials.lifecycle.queries.search_progress import progress_of
from tests import cast
from workers.node import importance

SPACE: dict[str, BaseDistribution] = {
    "decides": FloatDistribution(0, 1),
    "idle": FloatDistribution(0, 1),
    "kind": CategoricalDistribution(["a", "b"]),
}


def drawn(count: int, rng: np.random.Generator) -> list[ScoredTrial]:
    found = []
    for _ in range(count):
        values: dict[str, Any] = {
            "decides": rng.random(),
            "idle": rng.random(),
            "kind": str(rng.choice(["a", "b"])),
        }
        score = -((values["decides"] - 0.3) ** 2) + float(rng.normal(0, 0.01))
        found.append(ScoredTrial(values, SPACE, score))
    return found


@pytest.mark.parametrize("maximize", [True, False])
def test_what_decides_the_score_has_the_largest_share(maximize: bool) -> None:
    trials = drawn(300, np.random.default_rng(2))
    if not maximize:
        trials = [ScoredTrial(t.parameters, t.distributions, -t.value) for t in trials]
    shares = importance.shares_of(trials, maximize=maximize)
    assert shares["decides"][0] > 0.7
    assert sum(whole for whole, _ in shares.values()) == pytest.approx(1)
    assert sum(near for _, near in shares.values()) == pytest.approx(1)


def test_a_hyperparameter_that_never_varied_is_left_out() -> None:
    rng = np.random.default_rng(3)
    fixed = {"one": CategoricalDistribution(["only"])}
    trials = [
        ScoredTrial({**t.parameters, "one": "only"}, {**t.distributions, **fixed}, t.value)
        for t in drawn(40, rng)
    ]
    assert set(importance.shares_of(trials, maximize=True)) == set(SPACE)


def test_a_hyperparameter_of_one_arm_only_gets_a_share_too() -> None:
    rng = np.random.default_rng(4)
    trials = []
    for t in drawn(200, rng):
        if t.parameters["kind"] == "a":
            extra = rng.random()
            space = {**t.distributions, "momentum": FloatDistribution(0, 1)}
            trials.append(ScoredTrial({**t.parameters, "momentum": extra}, space, t.value + extra))
        else:
            trials.append(t)
    shares = importance.shares_of(trials, maximize=True)
    assert shares["momentum"][0] > shares["idle"][0]


def finished(trials_per_arm: int = LEAST_TRIALS) -> Experiment:
    cast.project()
    return cast.finished_search(trials_per_arm=trials_per_arm)


@pytest.mark.django_db
def test_a_look_records_the_arms_value_beside_the_searched_ones() -> None:
    experiment = finished()
    importance.ImportanceRecorder().record_if_due(progress_of(experiment.pk))
    held = importance_of(experiment.pk)
    assert held is not None
    assert set(held.shares) == {"label_smoothing", "learning_rate", "dropout", "hidden_units"}
    assert held.trials == experiment.complete_count
    assert max(held.shares, key=lambda name: held.shares[name][0]) == "learning_rate"


@pytest.mark.django_db
def test_it_is_due_after_a_tenth_more_trials_and_at_the_end() -> None:
    experiment = finished(30)
    assert importance_due(progress_of(experiment.pk))
    importance.ImportanceRecorder().record_if_due(progress_of(experiment.pk))
    assert not importance_due(progress_of(experiment.pk))
    read, done = experiment.complete_count, experiment.trial_count
    rows = Experiment.objects.filter(pk=experiment.pk)
    more = read // 10 + 1
    rows.update(state="running", budget=10 * read, complete_count=read + 1, trial_count=done + 1)
    assert not importance_due(progress_of(experiment.pk)), "one trial more changes little"
    rows.update(state="stopped")
    assert importance_due(progress_of(experiment.pk)), "at the end all count"
    rows.update(state="running", complete_count=read + more, trial_count=done + more)
    assert importance_due(progress_of(experiment.pk))


@pytest.mark.django_db
def test_short_trials_wait_for_it_at_the_end_only(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = finished()
    computed: list[int] = []
    monkeypatch.setattr(importance, "compute", computed.append)
    now = [100.0]
    recorder = importance.ImportanceRecorder(lambda: now[0])
    rows = Experiment.objects.filter(pk=experiment.pk)
    rows.update(state="running")
    recorder.record_if_due(progress_of(experiment.pk))
    now[0] += importance.SECONDS / 2
    recorder.record_if_due(progress_of(experiment.pk))
    assert len(computed) == 1
    now[0] += importance.SECONDS
    recorder.record_if_due(progress_of(experiment.pk))
    assert len(computed) == 2
    rows.update(state="finished")
    recorder.record_if_due(progress_of(experiment.pk))
    assert len(computed) == 3


@pytest.mark.django_db
def test_few_trials_are_not_read() -> None:
    experiment = finished(4)
    importance.ImportanceRecorder().record_if_due(progress_of(experiment.pk))
    assert importance_of(experiment.pk) is None


@pytest.mark.django_db
def test_a_broken_computation_is_logged_and_costs_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = finished()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(importance, "shares_of", broken)
    importance.ImportanceRecorder().record_if_due(progress_of(experiment.pk))
    assert "could not be computed" in caplog.text


@pytest.mark.django_db
def test_failed_trials_are_not_read() -> None:
    experiment = finished()
    assert len(scored_trials(experiment.pk)) == experiment.complete_count < experiment.trial_count


@pytest.mark.django_db
def test_values_whose_range_nobody_told_are_left_out() -> None:
    experiment = finished()
    Trial.objects.filter(study__experiment=experiment).update(distributions="{}")
    importance.ImportanceRecorder().record_if_due(progress_of(experiment.pk))
    held = importance_of(experiment.pk)
    assert held is not None and set(held.shares) == {"label_smoothing"}


@pytest.mark.django_db
def test_a_late_result_of_fewer_trials_replaces_nothing() -> None:
    experiment = finished(4)
    for trials, share in ((50, 1.0), (40, 0.5)):
        importance_service.record(
            experiment_id=experiment.pk, method="PED-ANOVA", trials=trials,
            shares={"dropout": (share, share)},
        )  # fmt: skip
    held = ParameterImportance.objects.get(experiment=experiment)
    assert (held.trials, json.loads(held.shares)) == (50, {"dropout": [1.0, 1.0]})


def test_a_worker_computes_it_without_the_packages_of_other_evaluators() -> None:
    code = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'\n"
        "import django; django.setup()\n"
        "from optuna.distributions import FloatDistribution\n"
        "from experiments.trials.findings.queries.importance import ScoredTrial\n"
        "from workers.node import importance\n"
        "space = {'x': FloatDistribution(0, 1)}\n"
        "trials = [ScoredTrial({'x': k / 50}, space, k / 50) for k in range(50)]\n"
        "assert importance.shares_of(trials, maximize=True)['x'][0] == 1.0\n"
        "print(sorted({'sklearn', 'pandas', 'torch'} & set(sys.modules)))\n"
        "import sklearn"  # whoever wants it has it
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
