"""A study that a program with Optuna ran: conditional parameters, pruned and failed trials."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from experiments.models import Study
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import copied_studies
from experiments.trials.lifecycle.services.copied_studies import Original
from experiments.trials.lifecycle.services.trial_creation import TrialFields
from tests.cast.training_curves import START

SPACE: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-5, 1e-1, log=True),
    "hidden_units": IntDistribution(8, 512, log=True),
    "optimizer": CategoricalDistribution(("adam", "sgd", None)),
    "momentum": FloatDistribution(0.0, 0.99),
    "dropout": FloatDistribution(0.0, 0.5),
}


def free_study(name: str = "optuna-lab", trials: int = 60) -> Study:
    """A study of the project digits, of one objective that is minimised."""
    rng = np.random.default_rng(3)
    every = [_trial(number, rng) for number in range(trials)]
    original = Original(name, ["minimize"], {"owner": "eve"}, {}, every)
    return Study.objects.get(name=copied_studies.copy(original, project="digits").study)


def _trial(number: int, rng: np.random.Generator) -> TrialFields:
    optimizer = ("adam", "sgd", None)[int(rng.integers(3))]
    rate, dropout = float(10 ** rng.uniform(-5, -1)), float(rng.uniform(0, 0.5))
    values = {
        "learning_rate": rate,
        "hidden_units": int(2 ** rng.uniform(3, 9)),
        "optimizer": optimizer,
        **({"momentum": float(rng.uniform(0, 0.99))} if optimizer == "sgd" else {}),
        "dropout": dropout,
    }
    loss = 0.2 + 0.3 * (math.log10(rate) + 3) ** 2 + 0.1 * dropout
    curve = {step: loss + 2 / (step + 1) + float(rng.normal(0, 0.02)) for step in range(12)}
    state = TrialState.PRUNED if loss > 0.9 else TrialState.COMPLETE
    state = TrialState.FAILED if number % 17 == 16 else state
    if state == TrialState.PRUNED:
        curve = {step: curve[step] for step in range(4)}
    started = START + dt.timedelta(minutes=number // 2)
    return {
        "state": state,
        "parameters": {key: (value, SPACE[key]) for key, value in values.items()},
        "values": None if state == TrialState.FAILED else [curve[max(curve)]],
        "reports": curve,
        "started_at": started,
        "finished_at": started + dt.timedelta(seconds=5 * len(curve)),
    }
