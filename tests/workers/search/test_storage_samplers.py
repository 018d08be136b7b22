"""Optuna's own sampler suites, unmodified, with every study on our storage."""

from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)
from optuna.storages import BaseStorage
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)
from optuna.trial import Trial, TrialState

from workers.search.annealing import SimulatedAnnealingSampler
from workers.search.quasi_random import HaltonSampler, SobolSampler
from workers.search.storage import VerdictStorage

pytestmark = [pytest.mark.thorough, pytest.mark.covering]

OURS: dict[str, Callable[[], BaseSampler]] = {
    "halton": lambda: HaltonSampler(0),
    "sobol": lambda: SobolSampler(0),
    "annealing": lambda: SimulatedAnnealingSampler(seed=0),
}
OPTUNAS: dict[str, Callable[[], BaseSampler]] = {
    "random": lambda: RandomSampler(seed=0),
    "tpe": lambda: TPESampler(seed=0, n_startup_trials=2, multivariate=True, constant_liar=True),
    "nsga2": lambda: NSGAIISampler(seed=0, population_size=4),
    "cmaes": lambda: CmaEsSampler(seed=0, n_startup_trials=2, warn_independent_sampling=False),
    "gp": lambda: GPSampler(seed=0, n_startup_trials=4),
    "grid": lambda: GridSampler({"x": [0.0, 0.5, 1.0], "n": [1, 2, 3], "kind": ["a"]}, seed=0),
    "brute force": lambda: BruteForceSampler(seed=0),
}


class OnOurTables:
    """Studies that name no storage lie in Verdict; some suites ask from several threads."""

    @pytest.fixture(autouse=True)
    def ours(self, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
        def storage_of(given: str | BaseStorage | None) -> BaseStorage:
            assert not isinstance(given, str)
            return given or VerdictStorage()

        monkeypatch.setattr(optuna.storages, "get_storage", storage_of)


class TestHalton(OnOurTables, BasicSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return OURS["halton"]


class TestSobol(OnOurTables, BasicSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return OURS["sobol"]


class TestAnnealing(OnOurTables, BasicSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return OURS["annealing"]


class TestTPE(
    OnOurTables, BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: TPESampler(n_startup_trials=0, multivariate=True)


@pytest.mark.django_db
@pytest.mark.parametrize("name", {**OURS, **OPTUNAS})
def test_a_study_of_each_sampler_is_the_same_as_in_memory(name: str) -> None:
    sampler = {**OURS, **OPTUNAS}[name]

    def objective(trial: Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0, step=0.5 if name == "brute force" else None)
        n = trial.suggest_int("n", 1, 3)
        kind = trial.suggest_categorical("kind", ["a", "b"])
        return x * n + (kind == "b")

    def parameters(storage: BaseStorage | None) -> list[dict[str, object]]:
        study = optuna.create_study(storage=storage, sampler=sampler())
        study.optimize(objective, n_trials=9)
        assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
        return [trial.params for trial in study.trials]

    assert parameters(VerdictStorage()) == parameters(None)
