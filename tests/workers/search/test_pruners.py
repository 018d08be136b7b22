from __future__ import annotations

import optuna
import pytest
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner, PatientPruner

from experiments.design.catalogue import PRUNERS
from workers.search.pruners import build_pruner


def pruned_at(name: str, seed: int, *, trials: int = 40) -> list[int]:
    """The last step of each trial of a study of this name; 26 for those that were not pruned."""
    pruner = build_pruner(
        "hyperband", {"min_resource": 1, "max_resource": 27, "reduction_factor": 3}, seed=seed
    )
    study = optuna.create_study(
        study_name=name, pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0)
    )
    ends = []

    def descend(trial: optuna.Trial) -> float:
        height = trial.suggest_float("height", 0, 1)
        for step in range(27):
            trial.report(height + 1 / (step + 1), step)
            if trial.should_prune():
                ends.append(step)
                raise optuna.TrialPruned
        ends.append(26)
        return height

    study.optimize(descend, n_trials=trials)
    return ends


def test_hyperbands_brackets_go_by_the_seed_and_not_by_the_name_of_the_study() -> None:
    first = pruned_at("one", seed=0)
    assert pruned_at("another", seed=0) == first
    assert pruned_at("one", seed=1) != first
    # Several brackets, and bad trials given up on several rungs.
    assert len(set(first)) > 2


def test_every_pruner_of_the_catalogue_is_built() -> None:
    needed = {"patient": {"patience": 2}, "percentile": {"percentile": 25.0}}
    needed["threshold"] = {"lower": 0.0}
    for name in PRUNERS:
        built = build_pruner(name, needed.get(name, {}))
        assert (type(built) is NopPruner) is (name == "none")


def test_a_patient_pruner_waits_for_the_one_it_wraps() -> None:
    options = {"patience": 2, "wrapped_pruner": {"name": "median", "n_startup_trials": 3}}
    patient = build_pruner("patient", options)
    assert isinstance(patient, PatientPruner)
    assert isinstance(patient._wrapped_pruner, MedianPruner)
    assert patient._wrapped_pruner._n_startup_trials == 3
    inside = {"patience": 2, "wrapped_pruner": {"name": "hyperband"}}
    assert isinstance(build_pruner("patient", inside)._wrapped_pruner, HyperbandPruner)


def test_a_pruner_that_is_in_no_catalogue_is_refused() -> None:
    with pytest.raises(ValueError, match="no pruner is called 'axe'"):
        build_pruner("axe", {})
