from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase
from scipy.stats import qmc

from experiments.design.space.search_space import domain_of
from workers.search.quasi_random import (
    HaltonSampler,
    QuasiRandomSampler,
    SequenceName,
    SobolSampler,
    point,
)

SPACE = {
    "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
    "layers": IntDistribution(1, 3),
    "dropout": FloatDistribution(0.0, 0.5, step=0.1),
    "activation": CategoricalDistribution(["relu", "gelu", "tanh"]),
}


ENGINES = {"halton": qmc.Halton, "sobol": qmc.Sobol}
SEQUENCES: list[SequenceName] = ["halton", "sobol"]


class TestOptunasSuiteOnHalton(BasicSamplerTestCase, RelativeSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return HaltonSampler


class TestOptunasSuiteOnSobol(BasicSamplerTestCase, RelativeSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return SobolSampler


@pytest.mark.parametrize("dimensions", [1, 2, 4, 7])
@pytest.mark.parametrize("scramble", [True, False])
@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.filterwarnings("ignore:The balance properties of Sobol")
def test_rows_equal_the_prefix_of_scipys_sequence_exactly(
    sequence: SequenceName, scramble: bool, dimensions: int
) -> None:
    rows = [
        point(sequence, dimensions=dimensions, row=row, seed=7, scramble=scramble)
        for row in range(50)
    ]
    rng = np.random.default_rng(7)
    scipys = ENGINES[sequence](dimensions, scramble=scramble, rng=rng).random(50)
    assert np.array_equal(rows, scipys)


def test_the_unscrambled_sequence_is_the_textbooks() -> None:
    rows = [point("halton", dimensions=2, row=row, seed=0, scramble=False) for row in range(5)]
    textbook = [(0, 0), (1 / 2, 1 / 3), (1 / 4, 2 / 3), (3 / 4, 1 / 9), (1 / 8, 4 / 9)]
    assert np.allclose(rows, textbook, atol=1e-15)


def test_a_gold_row_pins_the_scramble_and_its_keyword() -> None:
    assert point("halton", dimensions=2, row=0, seed=0).tolist() == pytest.approx(
        [0.7072248356860283, 0.46907967033587605], abs=1e-15
    )


def _asked(sampler: QuasiRandomSampler, count: int) -> list[dict[str, object]]:
    study = optuna.create_study(sampler=sampler)
    trials = [study.ask(SPACE) for _ in range(count)]
    return [trial.params for trial in trials]


def test_every_trial_takes_its_row_from_the_first_on() -> None:
    points = qmc.Halton(4, scramble=True, rng=np.random.default_rng(3)).random(20)
    expected = [
        {
            name: domain_of(distribution).from_unit(u)
            for (name, distribution), u in zip(SPACE.items(), point, strict=True)
        }
        for point in points
    ]
    assert _asked(HaltonSampler(3, space=SPACE), 20) == expected


@pytest.mark.parametrize("sampler", [HaltonSampler, SobolSampler])
def test_arms_of_different_width_share_what_they_have_in_common(
    sampler: type[QuasiRandomSampler],
) -> None:
    narrow = dict(list(SPACE.items())[:2])
    alone = optuna.create_study(sampler=sampler(3, space=narrow, dimensions=len(SPACE)))
    params = [alone.ask(narrow).params for _ in range(8)]
    wide = _asked(sampler(3, space=SPACE, dimensions=len(SPACE)), 8)
    assert [{name: row[name] for name in narrow} for row in wide] == params


def test_another_seed_gives_another_set() -> None:
    first, second = (_asked(HaltonSampler(seed, space=SPACE), 10) for seed in (0, 1))
    assert all(point not in second for point in first)


def test_a_parameter_with_a_single_value_takes_no_dimension() -> None:
    single = {"learning_rate": SPACE["learning_rate"], "epochs": IntDistribution(5, 5)}
    study = optuna.create_study(sampler=HaltonSampler(0, space=single))
    trial = study.ask(single)
    (u,) = point("halton", dimensions=1, row=0, seed=0)
    assert trial.params == {
        "learning_rate": domain_of(SPACE["learning_rate"]).from_unit(u),
        "epochs": 5,
    }


@pytest.mark.parametrize("dimensions", [2, 4, 7])
@pytest.mark.parametrize("count", [20, 50, 100])
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_its_discrepancy_lies_below_the_lowest_twentieth_of_random_sets(
    sequence: SequenceName, count: int, dimensions: int
) -> None:
    rng = np.random.default_rng(0)
    at_random = [qmc.discrepancy(rng.random((count, dimensions))) for _ in range(200)]
    drawn = [
        qmc.discrepancy(
            np.array([point(sequence, dimensions=dimensions, row=r, seed=s) for r in range(count)])
        )
        for s in range(5)
    ]
    assert np.median(drawn) < np.quantile(at_random, 0.05)
