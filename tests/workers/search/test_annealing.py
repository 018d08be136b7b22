from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)
from optuna.trial import TrialState, create_trial

from workers.search.annealing import SimulatedAnnealingSampler

X = FloatDistribution(0.0, 1.0)


class TestOptunasSuite(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return SimulatedAnnealingSampler


def _study(sampler: BaseSampler, values: list[tuple[float, float]]) -> optuna.Study:
    study = optuna.create_study(sampler=sampler)
    for x, value in values:
        study.add_trial(create_trial(params={"x": x}, distributions={"x": X}, value=value))
    return study


def _next(study: optuna.Study) -> float:
    return float(study.ask({"x": X}).params["x"])


def test_a_step_goes_no_farther_than_its_reach_from_the_accepted_trial() -> None:
    for seed in range(50):
        sampler = SimulatedAnnealingSampler(neighborhood_range_factor=0.05, seed=seed)
        assert abs(_next(_study(sampler, [(0.5, 1.0)])) - 0.5) <= 0.05


def test_a_better_trial_is_always_accepted() -> None:
    for seed in range(20):
        sampler = SimulatedAnnealingSampler(neighborhood_range_factor=0.05, seed=seed)
        assert abs(_next(_study(sampler, [(0.2, 1.0), (0.8, 0.5)])) - 0.8) <= 0.05


def test_worse_trials_are_accepted_while_it_is_hot_and_refused_when_it_is_cold() -> None:
    history = [(0.2, 0.5), (0.8, 1.0)]

    def moved(temperature: float) -> float:
        ends = [
            _next(_study(SimulatedAnnealingSampler(temperature=temperature, seed=seed), history))
            for seed in range(200)
        ]
        return float(np.mean(np.array(ends) > 0.5))

    assert moved(1e-9) == 0.0
    # One typical difference worse: accepted with probability exp(-1 / (1 * 0.9)).
    assert moved(1.0) == pytest.approx(np.exp(-1 / 0.9), abs=0.09)
    assert moved(1e6) == 1.0


def test_a_scale_of_the_metric_changes_nothing() -> None:
    history = [(0.2, 0.5), (0.6, 0.4), (0.9, 0.7), (0.1, 0.45)]
    for seed in range(20):
        asked = {
            _next(
                _study(
                    SimulatedAnnealingSampler(seed=seed),
                    [(x, factor * value) for x, value in history],
                )
            )
            for factor in (1.0, 1e6, 1e-6)
        }
        assert len(asked) == 1


def test_where_it_stands_is_known_to_a_sampler_that_has_seen_nothing() -> None:
    history = [(0.2, 0.5), (0.6, 0.4), (0.9, 0.7), (0.1, 0.45)]
    lasting = SimulatedAnnealingSampler(seed=4)
    study = _study(lasting, history)
    first = _next(study)
    study.tell(4, 0.6)
    second = _next(study)
    fresh = _study(SimulatedAnnealingSampler(seed=4), [*history, (first, 0.6)])
    assert _next(fresh) == second


def test_pruned_and_failed_trials_are_no_place_to_stand() -> None:
    sampler = SimulatedAnnealingSampler(neighborhood_range_factor=0.05, seed=1)
    study = _study(sampler, [(0.5, 1.0)])
    for state, value in ((TrialState.PRUNED, -9.0), (TrialState.FAIL, None)):
        study.add_trial(
            create_trial(params={"x": 0.95}, distributions={"x": X}, state=state, value=value)
        )
    assert abs(_next(study) - 0.5) <= 0.05


def test_a_choice_changes_to_another_one_as_often_as_its_reach_says() -> None:
    choice = {"c": CategoricalDistribution(["a", "b", "c"])}
    drawn = []
    for seed in range(300):
        sampler = SimulatedAnnealingSampler(neighborhood_range_factor=0.3, seed=seed)
        study = optuna.create_study(sampler=sampler)
        study.add_trial(create_trial(params={"c": "b"}, distributions=choice, value=0.0))
        drawn.append(study.ask(choice).params["c"])
    assert drawn.count("b") / 300 == pytest.approx(0.7, abs=0.08)
    assert drawn.count("a") > 20 and drawn.count("c") > 20


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": 0.0}, {"cooldown_factor": 1.1}, {"neighborhood_range_factor": 0.0}],
)
def test_an_impossible_option_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        SimulatedAnnealingSampler(**wrong)  # type: ignore[arg-type]
