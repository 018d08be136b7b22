from __future__ import annotations

import math
from collections.abc import Callable

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, GPSampler, TPESampler

from experiments.queries.earlier_trials import Remembered
from workers.search.history import SamplerWithHistory, earlier

SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
# Best at x = 0.8 and y = 0.2.
KNOWN = earlier(
    [
        Remembered(
            id=1000 + index,
            searched={"x": (index * 0.618) % 1, "y": (index * 0.755) % 1},
            value=-(((index * 0.618) % 1 - 0.8) ** 2) - ((index * 0.755) % 1 - 0.2) ** 2,
        )
        for index in range(60)
    ],
    SPACE,
)


def _tpe() -> BaseSampler:
    return TPESampler(seed=1)


def _gp() -> BaseSampler:
    return GPSampler(seed=1)


def first_points(sampler: BaseSampler, count: int = 4) -> list[tuple[float, float]]:
    study = optuna.create_study(sampler=sampler, direction="maximize")
    found = []
    for _ in range(count):
        trial = study.ask(SPACE)
        found.append((trial.params["x"], trial.params["y"]))
        study.tell(trial, -((trial.params["x"] - 0.8) ** 2) - (trial.params["y"] - 0.2) ** 2)
    assert len(study.trials) == count, "the study itself has its own trials only"
    return found


def mean_distance(points: list[tuple[float, float]]) -> float:
    return sum(math.hypot(x - 0.8, y - 0.2) for x, y in points) / len(points)


@pytest.mark.parametrize("make", [_tpe, _gp])
def test_a_sampler_with_history_starts_where_the_earlier_trials_were_good(
    make: Callable[[], BaseSampler],
) -> None:
    with_history = mean_distance(first_points(SamplerWithHistory(make(), KNOWN)))
    assert with_history < 0.25 < mean_distance(first_points(make()))


def test_the_same_history_and_seed_give_the_same_points() -> None:
    once, again = (first_points(SamplerWithHistory(_tpe(), KNOWN)) for _ in range(2))
    assert once == again


def test_an_empty_history_changes_nothing() -> None:
    assert first_points(SamplerWithHistory(_tpe(), [])) == first_points(_tpe())


def test_a_pruner_never_sees_the_history() -> None:
    pruner = MedianPruner(n_startup_trials=1)
    study = optuna.create_study(sampler=SamplerWithHistory(_tpe(), KNOWN), pruner=pruner)
    trial = study.ask(SPACE)
    trial.report(1e9, 1)
    assert not trial.should_prune()
