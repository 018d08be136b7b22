from __future__ import annotations

import itertools

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution

from workers.search.samplers import RowGridSampler

GRID = {"C": (0.1, 1.0, 10.0), "kernel": ("rbf", "linear")}
SPACE = {
    "C": FloatDistribution(0.1, 10.0, log=True),
    "kernel": CategoricalDistribution(GRID["kernel"]),
}


def _drawn(study: optuna.Study, row: int, seed: int = 0) -> tuple[object, ...]:
    study.sampler = RowGridSampler(GRID, row=row, seed=seed)
    params = study.ask(SPACE).params
    return params["C"], params["kernel"]


def test_its_rows_are_all_points_of_the_grid_each_once() -> None:
    study = optuna.create_study()
    points = [_drawn(study, row) for row in range(6)]
    assert sorted(points) == sorted(itertools.product(*GRID.values()))


def test_known_good_trials_before_it_take_nothing_from_the_grid() -> None:
    study = optuna.create_study()
    expected = [_drawn(optuna.create_study(), row) for row in range(6)]
    for _ in range(3):
        study.add_trial(
            optuna.create_trial(params={"C": 1.0, "kernel": "rbf"}, distributions=SPACE, value=1.0)
        )
    assert [_drawn(study, row) for row in range(6)] == expected


def test_another_seed_gives_another_order_of_the_same_points() -> None:
    first, second = (
        [_drawn(optuna.create_study(), row, seed) for row in range(6)] for seed in (0, 1)
    )
    assert first != second and sorted(first) == sorted(second)


def test_two_processes_that_ask_at_once_take_different_points() -> None:
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, study_name="grid")
    other = optuna.load_study(study_name="grid", storage=storage)
    assert _drawn(study, 0) != _drawn(other, 1)
