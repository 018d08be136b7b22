"""A study of every sampler and every pruner, on the bundled problem, through the real queue."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from experiments.design.catalogue import PRUNERS, SAMPLERS
from experiments.design.document.grid import arm_grid
from experiments.models import Experiment, Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import experiments
from experiments.trials.series.queries import series
from tests import cast
from tests.services_under_test.worker import WorkerProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., WorkerProcess]

TRIALS = 10
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
SEEDED: dict[str, Any] = {
    "tpe": {"name": "tpe", "n_startup_trials": 3},
    "cmaes": "cmaes",
    "bohb": {"name": "bohb", "n_startup_trials": 3},
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
        "search": {"trials": TRIALS, "parallel": 2, "seed": 1, **search},
        "hyperparameters": space,
        **more,
    }
    return experiments.create(access=cast.access("ada"), text=json.dumps(document))


def _wait(worker: WorkerProcess, made: list[Experiment]) -> None:
    running = Experiment.objects.filter(
        pk__in=[experiment.pk for experiment in made], state="running"
    )
    while running.exists():
        _wait_for_the_next_trial(worker, running)
    for experiment in made:
        experiment.refresh_from_db()


def _wait_for_the_next_trial(worker: WorkerProcess, running: QuerySet[Experiment]) -> None:
    """Patience with each of them, as there are hundreds."""
    later = Trial.objects.filter(finished_at__gt=timezone.now())
    wait_until(lambda: later.exists() or not running.exists(), worker=worker)


def _states(experiment: Experiment) -> list[int]:
    trials = Trial.objects.filter(study__experiment=experiment).order_by("number")
    return list(trials.values_list("state", flat=True))


def test_every_sampler_and_every_pruner_finds_a_good_machine(start_worker: Start) -> None:
    """All at once: most of such a test's time is the start of a worker."""
    cast.project()
    samplers, pruners = _one_of_each_sampler(), _one_of_each_pruner()
    others = _other_rules()
    seeded = _seeded_searches("seeded")
    workers = [start_worker(objectives="workers.problems") for _ in range(2)]
    _wait(workers[0], [*samplers.values(), *pruners.values(), *others.values(), *seeded])
    _check_samplers(samplers)
    _check_pruners(pruners)
    _check_folds(others["folds"])
    _check_budgets(others["successive_halving"])
    _check_budgets(others["hyperband"])
    _check_early_stopping(others["early"])
    _check_terminator(others["terminated"])
    facts = [_facts(experiment) for experiment in seeded]
    Experiment.objects.filter(pk__in=[experiment.pk for experiment in seeded]).delete()
    again = _seeded_searches("again")
    _wait(workers[0], again)
    assert [_facts(experiment) for experiment in again] == facts


def _one_of_each_sampler() -> dict[str, Experiment]:
    return {
        name: _create(name, search={"sampler": {"name": name, **SAMPLER_OPTIONS.get(name, {})}})
        for name in SAMPLERS
        if name != "bohb"  # comes with a pruner: below
    }


def _check_samplers(made: Mapping[str, Experiment]) -> None:
    for name, experiment in made.items():
        count = 9 if name == "grid" else TRIALS
        assert _states(experiment) == [TrialState.COMPLETE] * count, name
        # Two workers: in which order results come, and so what is learnt from them, is open.
        assert (experiment.best_value or 0) > 0.9, name
        points = Trial.objects.filter(study__experiment=experiment).values_list("parameters")
        # One that has learnt may come back to a point, also while another trial is at it.
        fewest = count // 2 if SAMPLERS[name].adaptive else count
        assert len(set(points)) >= fewest, name
    _check_the_grid(made["grid"])
    # State that samplers keep went through the storage, from trial to trial.
    genetic = Trial.objects.filter(study__experiment=made["genetic"])
    attributes = [json.loads(t) for t in genetic.values_list("system_attributes", flat=True)]
    assert max(values.get("NSGAIISampler:generation", 0) for values in attributes) >= 1
    stored = Trial.objects.filter(
        study__experiment=made["cmaes"], system_attributes__contains="cma:optimizer"
    )
    assert stored.exists()


def _check_the_grid(experiment: Experiment) -> None:
    from experiments.design.document import experiment_file

    (arm,) = experiment_file.parse(experiment.source).arms()
    values = arm_grid(arm, 3)
    drawn = {
        tuple(json.loads(text).values())
        for text in Trial.objects.filter(study__experiment=experiment).values_list(
            "parameters", flat=True
        )
    }
    assert drawn == {(c, gamma) for c in values["C"] for gamma in values["gamma"]}


def _one_of_each_pruner() -> dict[str, Experiment]:
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
        "wilcoxon", search={"sampler": "random", "pruner": "wilcoxon", "trials": 12}, folds=5
    )
    return made


def _check_pruners(made: Mapping[str, Experiment]) -> None:
    """Bad machines are given up and good ones kept."""
    for name, experiment in made.items():
        states = _states(experiment)
        assert set(states) <= {TrialState.COMPLETE, TrialState.PRUNED}, name
        assert (TrialState.PRUNED in states) is (name != "none"), name
        assert (experiment.best_value or 0) > 0.93, name
        # A pruned trial has spent less, and never counts as the best.
        assert experiment.best_trial is not None
        assert experiment.best_trial.state == TrialState.COMPLETE, name
        assert experiment.pruned_count == states.count(TrialState.PRUNED), name


def _other_rules() -> dict[str, Experiment]:
    grid = {"sampler": {"name": "grid", "points": 2}, "trials": 4}
    share = {"name": "data_fraction", "min": 0.05, "max": 1.0}
    rule = {"name": "best_value_stagnation", "min_n_trials": 5, "max_stagnation_trials": 4}
    made = {"folds": _create("folds", search=grid, folds=4)}
    for name in ("successive_halving", "hyperband"):
        search = {"sampler": "random", "pruner": name, "trials": 14}
        made[name] = _create(f"share-{name}", search=search, fidelity=share)
    made["early"] = _create(
        "early",
        objective="descend",
        search={"sampler": "random", "trials": 6},
        space={**DESCENT, "epochs": {"role": "fixed", "value": 40}},
        early_stopping={"patience": 3, "min_delta": 0.001, "rule": "since_best"},
    )
    made["terminated"] = _create(
        "terminated", search={"sampler": "random", "trials": 200}, stop={"terminator": rule}
    )
    return made


def _check_terminator(experiment: Experiment) -> None:
    assert experiment.state == "stopped"
    why = experiment.stop_reason
    assert why.startswith("Optuna's terminator (best_value_stagnation)")
    assert 6 <= experiment.trial_count < 100


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


def _seeded_searches(named: str) -> list[Experiment]:
    """Searches that run one trial after the other: the same files give the same studies.

    Whatever the experiments are called.
    """
    return [
        _create(
            f"{named}-{name}",
            objective="descend",
            space=DESCENT,
            search={"sampler": SEEDED[name], "trials": 7, "parallel": 1},
            fidelity={"name": "epochs", "min": 1, "max": 9},
        )
        for name in SEEDED
    ]


def _facts(experiment: Experiment) -> list[tuple[Any, ...]]:
    trials = Trial.objects.filter(study__experiment=experiment).order_by("number")
    facts = ("number", "parameters", "state", "value", "train_seed")
    found = list(trials.values_list(*facts))
    assert len(found) == 7
    return found
