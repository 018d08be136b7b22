"""A search whose scores rise towards the upper edge of its learning rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from optuna.distributions import FloatDistribution

from experiments.models import Experiment, Trial
from experiments.models.trial import Origin, TrialState
from experiments.trials.lifecycle.services import trials
from tests.cast.searches import end, search
from workers.node import owed_findings
from workers.node.findings import FindingsRecorder

RATE = FloatDistribution(1e-4, 1e-2, log=True)
FILE = """\
project: digits
experiment: rates
goal: Which learning rate trains best?
objective: {objective}
metrics:
  validation_accuracy: {{official: true, direction: maximize}}
search: {{sampler: halton, trials: {trials}, parallel: 2, seed: 0}}
probe: {probe}
hyperparameters:
  learning_rate: {{role: nuisance, low: 1.0e-4, high: 1.0e-2, log: true}}
  epochs:        {{role: fixed, value: 3}}
"""
Score = Callable[[dict[str, Any], int], float]


def rates_file(
    *, count: int = 24, probe: bool = False, objective: str = "workers.problems.digits:train"
) -> str:
    """The file of a search of one learning rate."""
    return FILE.format(trials=count, probe=str(probe).lower(), objective=objective)


def rising(parameters: dict[str, Any], seed: int) -> float:
    """Better with every decade of the learning rate; a deviation of 0.002 over seeds."""
    noise = float(np.random.default_rng(seed).normal(0.0, 0.002))
    return 0.5 + 0.05 * float(np.log10(parameters["learning_rate"])) + noise


def searched_rates(score: Score = rising, *, count: int = 24, probe: bool = False) -> Experiment:
    """The search after its last trial, with its findings."""
    experiment = search(source=rates_file(count=count, probe=probe))
    study = experiment.studies.get()
    for index in range(count):
        rate = 10 ** (-4 + 2 * index / (count - 1))
        trials.create(
            study_id=study.pk,
            state=TrialState.COMPLETE,
            origin=Origin.SAMPLER,
            take_row=True,
            parameters={"learning_rate": (rate, RATE)},
            values=[score({"learning_rate": rate}, index)],
            train_seed=index,
            split_seed=7,
        )
    Trial.objects.filter(study=study).update(seconds=2.0, findings_due=False)
    end(experiment)
    experiment.refresh_from_db()
    owed_findings.derive(experiment.pk, FindingsRecorder())
    return experiment
