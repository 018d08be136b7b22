from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState

from experiments.design.catalogue import SAMPLERS
from workers.search.asking import StudyOfRows
from workers.search.samplers import Draw, build_sampler, trial_seed

pytestmark = pytest.mark.thorough

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0.0, 1.0),
    "y": FloatDistribution(1e-4, 1.0, log=True),
}
BEST = {"x": 0.8, "y": 1e-3}
GRID = {"x": (0.0, 0.5, 1.0), "y": (1e-4, 1e-2, 1.0)}
# So that few trials are enough to learn from.
OPTIONS: dict[str, dict[str, Any]] = {
    "genetic": {"population_size": 10},
    "gp": {"n_startup_trials": 8},
}
TRIALS = {"gp": 16, "annealing": 120}
ADAPTIVE = [name for name, method in SAMPLERS.items() if method.adaptive]


def _distance(params: Mapping[str, Any]) -> float:
    """From the best point, in the unit square."""
    x = params["x"] - BEST["x"]
    y = (math.log10(params["y"]) - math.log10(BEST["y"])) / 4
    return math.hypot(x, y)


def _search(name: str, trials: int, *, seed: int = 3, maximize: bool = False) -> optuna.Study:
    """A search in which every trial is drawn by a sampler that has seen nothing before."""
    storage = optuna.storages.InMemoryStorage()
    direction = "maximize" if maximize else "minimize"
    optuna.create_study(study_name="search", storage=storage, direction=direction)
    study = StudyOfRows(study_name="search", storage=storage)
    for number in range(trials):
        study.sampler = build_sampler(
            name, OPTIONS.get(name, {}), Draw(seed, number, number, SPACE, GRID)
        )
        trial = study.ask(SPACE)
        loss = _distance(trial.params) ** 2
        study.tell(trial, -loss if maximize else loss)
    return study


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("name", ADAPTIVE)
def test_after_learning_its_suggestions_lie_nearer_the_best_than_random_ones(
    name: str, maximize: bool
) -> None:
    trials = _search(name, TRIALS.get(name, 60), maximize=maximize).trials
    late = [_distance(trial.params) for trial in trials[-len(trials) // 3 :]]
    at_random = [_distance(trial.params) for trial in _search("random", 200).trials]
    assert np.median(late) < np.quantile(at_random, 0.25)


@pytest.mark.parametrize("name", ["halton", "sobol", "random"])
def test_a_search_that_does_not_adapt_gets_no_nearer(name: str) -> None:
    trials = [_distance(trial.params) for trial in _search(name, 64).trials]
    assert np.median(trials[32:]) > 0.5 * np.median(trials[:32])


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_seed_gives_the_same_study_and_another_seed_another(name: str) -> None:
    count = 9 if name in ("grid", "gp") else 14
    first, again, other = (
        [trial.params for trial in _search(name, count, seed=seed).trials] for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", SAMPLERS)
def test_trials_asked_ahead_of_any_result_differ(name: str) -> None:
    study = _search(name, 12 if name != "grid" else 3)
    asked = []
    for number in range(len(study.trials), len(study.trials) + 4):
        sampler = build_sampler(name, OPTIONS.get(name, {}), Draw(3, number, number, SPACE, GRID))
        study.sampler = sampler
        asked.append(tuple(study.ask(SPACE).params.values()))
    assert len(set(asked)) == 4


@pytest.mark.parametrize("name", ADAPTIVE)
def test_pruned_trials_of_a_smaller_budget_do_not_pass_for_good_ones(name: str) -> None:
    study = _search(name, 10)
    for _ in range(10):
        study.add_trial(
            optuna.create_trial(
                state=TrialState.PRUNED,
                params={"x": 0.05, "y": 0.9},
                distributions=SPACE,
                intermediate_values={1: -100.0},
                value=-100.0,
            )
        )
    near = 0
    for number in range(20, 26):
        draw = Draw(3, number, number, SPACE, GRID)
        study.sampler = build_sampler(name, OPTIONS.get(name, {}), draw)
        trial = study.ask(SPACE)
        near += (
            math.hypot(trial.params["x"] - 0.05, math.log10(trial.params["y"] / 0.9) / 4) < 0.15
        )
        study.tell(trial, _distance(trial.params) ** 2)
    assert near <= 1


def test_a_draw_does_not_depend_on_which_worker_asks() -> None:
    assert trial_seed(0, 1) == trial_seed(0, 1)
    assert len({trial_seed(seed, number) for seed in range(20) for number in range(20)}) == 400


def test_a_name_that_is_not_in_the_catalogue_is_refused() -> None:
    with pytest.raises(ValueError, match="no sampler"):
        build_sampler("halten", {}, Draw(0, 0, 0, SPACE, GRID))
