"""The experiment file of the searches, and what it searches."""

from __future__ import annotations

from pprint import pformat

from optuna.distributions import CategoricalDistribution, FloatDistribution

from experiments.design.document.experiment_file import ExperimentFile

OBJECTIVE = "workers.problems.digits:train"
EPOCHS = 60
LEARNING_RATE = FloatDistribution(1e-4, 1e-1, log=True)
DROPOUT = FloatDistribution(0.0, 0.5)
UNITS = CategoricalDistribution((32, 64, 128, 256, 512))
GOAL = "Does label smoothing raise validation accuracy once the learning rate is retuned?"
LABEL_SMOOTHING = """\
project: digits
experiment: {name}
goal: {goal}
objective: workers.problems.digits:train
config_link: https://git.example.org/team/digits/blob/4f1c2e9/label-smoothing.yaml
notes: Follows the wider network. Learning rate was retuned because smoothing flattens the loss.
tags: [regularisation]
metrics:
  validation_accuracy: {{official: true, direction: maximize, resolution: 0.0028}}
search: {{sampler: halton, trials: {trials}, parallel: 2, seed: 0}}
hyperparameters:
  label_smoothing: {{role: scientific, choices: [0.0, 0.1]}}
  learning_rate:   {{role: nuisance, low: 1.0e-4, high: 1.0e-1, log: true}}
  dropout:         {{role: nuisance, low: 0.0, high: 0.5, natural: [low]}}
  hidden_units:    {{role: nuisance, choices: [32, 64, 128, 256, 512], ordered: true}}
  optimizer:       {{role: fixed, value: adam}}
  epochs:          {{role: fixed, value: 60}}
"""


def exactly(file: ExperimentFile) -> str:
    """A file as text: 1 and 1.0, and the order of keys, stay apart; the order of sets does not."""
    return pformat(file, sort_dicts=False)
