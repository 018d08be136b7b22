from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from experiments.design.document.search_methods import Chosen
from workers.search.asking import FOLDS_ATTRIBUTE
from workers.search.terminator import Outlook, build_terminator, outlook

X = FloatDistribution(0.0, 1.0)


def _study(values: list[float], *, folds: list[float] | None = None) -> optuna.Study:
    study = optuna.create_study(study_name="search", storage=optuna.storages.InMemoryStorage())
    for index, value in enumerate(values):
        study.add_trial(
            create_trial(
                params={"x": (index * 0.618) % 1},
                distributions={"x": X},
                value=value,
                system_attrs={FOLDS_ATTRIBUTE: folds} if folds else {},
            )
        )
    return study


def _outlook(study: optuna.Study, chosen: Chosen) -> Outlook:
    storage: Any = study._storage
    return outlook(storage, study.study_name, chosen, seed=0)


def _why(study: optuna.Study, chosen: Chosen) -> str | None:
    found = _outlook(study, chosen)
    return found.why if found.ends else None


STAGNATION = Chosen("best_value_stagnation", {"min_n_trials": 5, "max_stagnation_trials": 6})


def test_a_search_whose_best_value_stood_long_enough_has_little_left_to_gain() -> None:
    study = _study([1.0, 0.5, *[0.9] * 7])
    assert _why(study, STAGNATION) == (
        "Optuna's terminator (best_value_stagnation): little left to gain after 9 trials"
    )
    assert _why(_study([1.0, 0.5, *[0.9] * 6]), STAGNATION) is None


def test_it_never_ends_a_search_before_its_fewest_trials() -> None:
    chosen = Chosen("best_value_stagnation", {"min_n_trials": 9, "max_stagnation_trials": 1})
    assert _why(_study([0.5, *[0.9] * 7]), chosen) is None


def test_the_regret_bound_is_held_against_the_error_over_folds() -> None:
    chosen = Chosen("regret_bound", {"min_n_trials": 10})
    values = [(index * 0.618 % 1 - 0.3) ** 2 for index in range(20)]
    noisy = _study(values, folds=[-50.0, 0.0, 50.0])
    exact = _study(values, folds=[0.1, 0.1 + 1e-9, 0.1])
    assert _why(noisy, chosen) is not None
    assert _why(exact, chosen) is None


def test_emmr_ends_nothing_before_it_has_its_early_median() -> None:
    assert _why(_study([0.5] * 12), Chosen("emmr", {"min_n_trials": 5})) is None


def test_what_cannot_be_judged_goes_on() -> None:
    """Without folds the regret bound has no error to be held against: Optuna raises."""
    chosen = Chosen("regret_bound", {"min_n_trials": 3})
    assert _why(_study([0.5, 0.4, 0.3, 0.2]), chosen) is None


def test_a_name_that_is_not_in_the_catalogue_is_refused() -> None:
    with pytest.raises(ValueError, match="no terminator"):
        build_terminator(Chosen("soon", {"min_n_trials": 3}), seed=0)


@pytest.mark.parametrize(("noise", "ends"), [(0.0, True), (0.5, False)])
def test_emmr_ends_a_toy_of_two_dimensions_within_its_trials_or_says_what_it_still_sees(
    noise: float, ends: bool
) -> None:
    rng = np.random.default_rng(0)
    study = optuna.create_study(
        study_name=f"toy {noise}", sampler=optuna.samplers.RandomSampler(seed=0)
    )

    def toy(trial: optuna.Trial) -> float:
        x, y = trial.suggest_float("x", -5, 5), trial.suggest_float("y", -5, 5)
        return float((x - 1) ** 2 + (y + 2) ** 2 + noise * 50 * rng.normal())

    study.optimize(toy, n_trials=60)
    found = _outlook(study, Chosen("emmr", {}))
    assert found.ends is ends
    if ends:
        assert found.why.endswith("(emmr): little left to gain after 60 trials")
    else:
        assert found.why.startswith("Optuna's terminator (emmr) ends below 0.0")
        assert "left to gain and saw " in found.why and found.why.endswith("after 60 trials")


def test_too_few_trials_and_what_could_not_be_judged_are_said() -> None:
    few = _outlook(_study([0.5, 0.4]), Chosen("emmr", {}))
    assert few.why == "Optuna's terminator (emmr) needs 20 complete trials; there are 2"
    without_folds = _outlook(_study([0.5, 0.4, 0.3]), Chosen("regret_bound", {"min_n_trials": 3}))
    assert "could not judge: " in without_folds.why
