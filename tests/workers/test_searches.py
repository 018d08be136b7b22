"""A study of every sampler and every pruner, on the bundled problem, through the real queue."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.conf import settings

from experiments.catalogue import PRUNERS, SAMPLERS
from experiments.grid import arm_grid
from experiments.models import Experiment, Study, Trial
from experiments.models.trial import TrialState
from experiments.queries import series
from experiments.services import experiments
from tests import cast
from tests.services_under_test.worker import WorkerProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., WorkerProcess]

MACHINE = {
    "C": {"role": "nuisance", "low": 0.01, "high": 1000.0, "log": True},
    "gamma": {"role": "nuisance", "low": 1e-4, "high": 10.0, "log": True},
}
DESCENT = {
    "alpha": {"role": "nuisance", "low": 1e-6, "high": 10.0, "log": True},
    "learning_rate": {"role": "nuisance", "low": 1e-5, "high": 1.0, "log": True},
}
EPOCHS = {"epochs": {"role": "fixed", "value": 9}}
# Everything that is drawn at random first is kept short, so that samplers get to learn.
SAMPLER_OPTIONS: dict[str, dict[str, Any]] = {
    "grid": {"points": 3},
    "tpe": {"n_startup_trials": 5},
    "bohb": {"n_startup_trials": 5},
    "gp": {"n_startup_trials": 7},
    "genetic": {"population_size": 5},
}
PRUNER_OPTIONS: dict[str, dict[str, Any]] = {
    "median": {"n_startup_trials": 3},
    "percentile": {"percentile": 50.0, "n_startup_trials": 3},
    "patient": {
        "patience": 2,
        "wrapped_pruner": {"name": "percentile", "percentile": 80.0, "n_startup_trials": 2},
    },
    "threshold": {"lower": 0.9, "n_warmup_steps": 2},
    "extrapolation": {"n_startup_trials": 6},
}


@pytest.fixture(autouse=True)
def allow_the_bundled_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "OBJECTIVES", ["workers.problems"])


def _create(
    name: str,
    *,
    search: Mapping[str, Any],
    objective: str = "fit",
    space: Mapping[str, Any] = MACHINE,
    **more: Any,
) -> Experiment:
    document = {
        "project": "digits",
        "experiment": name,
        "goal": "Which machine tells the tumours apart best?",
        "objective": f"workers.problems.svm:{objective}",
        "search": {"trials": 12, "parallel": 2, "seed": 1, **search},
        "hyperparameters": space,
        **more,
    }
    return experiments.create(user=cast.person("ada"), text=json.dumps(document))


def _run(start_worker: Start, made: list[Experiment], seconds: float = 120) -> None:
    """One worker for all of them."""
    _wait(start_worker(objectives="workers.problems"), made, seconds)


def _wait(worker: WorkerProcess, made: list[Experiment], seconds: float = 120) -> None:
    running = Experiment.objects.filter(pk__in=[each.pk for each in made], state="running")
    wait_until(lambda: not running.exists(), worker=worker, seconds=seconds)
    for each in made:
        each.refresh_from_db()


def _states(experiment: Experiment) -> list[int]:
    trials = Trial.objects.filter(study__experiment=experiment).order_by("number")
    return list(trials.values_list("state", flat=True))


def test_every_sampler_finds_a_good_machine(start_worker: Start) -> None:
    cast.project()
    made = {
        name: _create(name, search={"sampler": {"name": name, **SAMPLER_OPTIONS.get(name, {})}})
        for name in SAMPLERS
        if name != "bohb"  # comes with a pruner: below
    }
    _run(start_worker, list(made.values()))
    for name, experiment in made.items():
        count = 9 if name == "grid" else 12
        assert _states(experiment) == [TrialState.COMPLETE] * count, name
        assert (experiment.best_value or 0) > 0.95, name
        points = Trial.objects.filter(study__experiment=experiment).values_list("parameters")
        assert len(set(points)) == count, name
    _check_the_grid(made["grid"])
    # State that samplers keep went through the storage, from trial to trial.
    attributes = [
        json.loads(text)
        for text in Trial.objects.filter(study__experiment=made["genetic"]).values_list(
            "system_attributes", flat=True
        )
    ]
    assert max(each.get("NSGAIISampler:generation", 0) for each in attributes) >= 1
    stored = Trial.objects.filter(
        study__experiment=made["cmaes"], system_attributes__contains="cma:optimizer"
    )
    assert stored.exists()


def _check_the_grid(experiment: Experiment) -> None:
    from experiments import experiment_file

    (arm,) = experiment_file.parse(experiment.source).arms()
    values = arm_grid(arm, 3)
    drawn = {
        tuple(json.loads(text).values())
        for text in Trial.objects.filter(study__experiment=experiment).values_list(
            "parameters", flat=True
        )
    }
    assert drawn == {(c, gamma) for c in values["C"] for gamma in values["gamma"]}


def test_every_pruner_gives_up_bad_machines_and_keeps_good_ones(start_worker: Start) -> None:
    cast.project()
    epochs = {"name": "epochs", "min": 1, "max": 9}
    made = {}
    for name in PRUNERS:
        if name == "wilcoxon":
            continue  # over folds: below
        rungs = name in ("successive_halving", "hyperband")
        pruner = {"name": name, **PRUNER_OPTIONS.get(name, {})}
        if rungs:
            pruner["reduction_factor"] = 3
        made[name] = _create(
            name,
            objective="descend",
            search={"sampler": "random", "pruner": pruner, "trials": 14},
            space=DESCENT if rungs else {**DESCENT, **EPOCHS},
            **({"fidelity": epochs} if rungs else {}),
        )
    made["bohb"] = _create(
        "bohb",
        objective="descend",
        search={"sampler": {"name": "bohb", **SAMPLER_OPTIONS["bohb"]}, "trials": 14},
        space=DESCENT,
        fidelity=epochs,
    )
    made["wilcoxon"] = _create(
        "wilcoxon", search={"sampler": "random", "pruner": "wilcoxon"}, folds=5
    )
    _run(start_worker, list(made.values()))
    for name, experiment in made.items():
        states = _states(experiment)
        assert set(states) <= {TrialState.COMPLETE, TrialState.PRUNED}, name
        assert (TrialState.PRUNED in states) is (name != "none"), name
        assert (experiment.best_value or 0) > 0.93, name
        # A pruned trial has spent less, and never counts as the best.
        assert experiment.best_trial is not None
        assert experiment.best_trial.state == TrialState.COMPLETE, name
        assert experiment.pruned_count == states.count(TrialState.PRUNED), name


def test_folds_budgets_early_stopping_and_the_terminator(start_worker: Start) -> None:
    cast.project()
    folds = _create(
        "folds", search={"sampler": {"name": "grid", "points": 2}, "trials": 4}, folds=4
    )
    share = {"name": "data_fraction", "min": 0.05, "max": 1.0}
    climbing = [
        _create(name, search={"sampler": "random", "pruner": name, "trials": 18}, fidelity=share)
        for name in ("successive_halving", "hyperband")
    ]
    early = _create(
        "early",
        objective="descend",
        search={"sampler": "random", "trials": 6},
        space={**DESCENT, "epochs": {"role": "fixed", "value": 40}},
        early_stopping={"patience": 3, "min_delta": 0.001, "rule": "since_best"},
    )
    rule = {"name": "best_value_stagnation", "min_n_trials": 5, "max_stagnation_trials": 4}
    terminated = _create(
        "terminated", search={"sampler": "random", "trials": 200}, stop={"terminator": rule}
    )
    _run(start_worker, [folds, *climbing, early, terminated])
    _check_folds(folds)
    for experiment in climbing:
        _check_budgets(experiment)
    _check_early_stopping(early)
    assert terminated.state == "stopped"
    assert terminated.stop_reason.startswith("Optuna's terminator (best_value_stagnation)")
    assert 6 <= terminated.trial_count < 100


def _check_folds(experiment: Experiment) -> None:
    """They are kept beside their mean."""
    for trial in Trial.objects.filter(study__experiment=experiment):
        kept = json.loads(trial.system_attributes)["terminator:cv_scores"]
        assert len(kept) == 4 and trial.value == pytest.approx(sum(kept) / 4)
        curves = series.read([trial.pk])[trial.pk]
        assert curves["validation_accuracy"].values.tolist() == [trial.value]
        assert "validation_accuracy[fold=4]" in curves


def _check_budgets(experiment: Experiment) -> None:
    """They are climbed by training anew, and only whole ones count."""
    states = _states(experiment)
    assert states.count(TrialState.PRUNED) > 0 and states.count(TrialState.COMPLETE) > 0
    for trial in Trial.objects.filter(study__experiment=experiment):
        curves = series.read([trial.pk])[trial.pk]
        assert ("validation_accuracy" in curves) is (trial.state == TrialState.COMPLETE)
        # The configuration says on which budget it stands.
        assert trial.configuration is not None
        assert '"data_fraction":1' in trial.configuration.document


def _check_early_stopping(experiment: Experiment) -> None:
    trials = Trial.objects.filter(study__experiment=experiment)
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    early = [trial for trial in trials if trial.stopped_early]
    assert early
    for trial in early:
        values = series.read([trial.pk])[trial.pk]["validation_accuracy"].values
        assert len(values) < 40 and trial.value == max(values)


def test_the_same_file_with_one_worker_gives_the_same_study(start_worker: Start) -> None:
    cast.project()
    searches: dict[str, dict[str, Any]] = {
        "tpe": {"sampler": {"name": "tpe", "n_startup_trials": 4}},
        "cmaes": {"sampler": "cmaes"},
        "bohb": {"sampler": {"name": "bohb", "n_startup_trials": 4}},
    }
    worker = start_worker(objectives="workers.problems")

    def study() -> list[list[tuple[Any, ...]]]:
        made = [
            _create(
                name,
                objective="descend",
                space=DESCENT,
                search={**search, "trials": 10, "parallel": 1},
                fidelity={"name": "epochs", "min": 1, "max": 9},
            )
            for name, search in searches.items()
        ]
        _wait(worker, made)
        trials = [Trial.objects.filter(study__experiment=each).order_by("number") for each in made]
        facts = ("number", "parameters", "state", "value", "train_seed")
        found = [list(rows.values_list(*facts)) for rows in trials]
        Study.objects.all().delete()
        Experiment.objects.all().delete()
        return found

    assert study() == study()
