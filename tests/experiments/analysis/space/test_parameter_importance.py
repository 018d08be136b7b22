"""Importance from the trials alone, beside Optuna's own evaluator."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator

from experiments.analysis.space.parameter_importance import importance_shares


def search(seed: int, trials: int = 200) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Scores that x decides most, then c (of three choices), then y; z decides nothing."""
    rng = np.random.default_rng(seed)
    units = {name: rng.random(trials) for name in ("x", "y", "z")}
    units["c"] = (rng.integers(0, 3, trials) + 0.5) / 3
    scores = 6 * (units["x"] - 0.3) ** 2 + (units["c"] > 0.5) + 0.4 * units["y"]
    return units, scores


@pytest.mark.parametrize("seed", range(3))
def test_shares_rank_as_optunas_evaluator_does(seed: int) -> None:
    units, scores = search(seed)
    ours = importance_shares(units, scores, maximize=False, choices={"c": 3})
    study = optuna.create_study()
    for index, score in enumerate(scores):
        params = {name: float(row[index]) for name, row in units.items() if name != "c"}
        study.add_trial(
            optuna.trial.create_trial(
                params={**params, "c": int(units["c"][index] * 3)},
                distributions={
                    **{name: FloatDistribution(0, 1) for name in params},
                    "c": CategoricalDistribution((0, 1, 2)),
                },
                value=float(score),
            )
        )
    theirs = PedAnovaImportanceEvaluator(target_quantile=0.1).evaluate(study)
    assert sum(ours.values()) == pytest.approx(1)
    assert max(ours, key=ours.__getitem__) == max(theirs, key=theirs.__getitem__) == "x"
    assert ours["z"] < 0.15 and ours["x"] > ours["y"]


def test_what_never_varied_or_few_trials_have_decides_nothing() -> None:
    units, scores = search(0)
    units["constant"] = np.full(scores.size, 0.5)
    units["rare"] = np.where(np.arange(scores.size) == 7, 0.1, np.nan)
    shares = importance_shares(units, scores, maximize=True, choices={"c": 3})
    assert shares["constant"] == shares["rare"] == 0.0


def test_values_that_are_not_finite_and_equal_scores_break_nothing() -> None:
    units, scores = search(0, trials=30)
    scores[::3] = np.nan
    scores[1::3] = np.inf
    assert sum(importance_shares(units, scores, maximize=True, choices={}).values()) <= 1 + 1e-9
    flat = importance_shares(units, np.ones(30), maximize=True, choices={}, region=0.5)
    assert all(np.isfinite(value) for value in flat.values())
