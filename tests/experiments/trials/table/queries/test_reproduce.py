from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from experiments.models import Experiment, Trial
from experiments.models.trial import TrialState
from experiments.models.trial_encoding import encode_reports
from experiments.trials.table.queries.reproduce import line_of
from tests import cast

pytestmark = pytest.mark.django_db


def _trial(more: str, pruner: str = "none", **changed: Any) -> tuple[Experiment, Trial]:
    """A finished trial of a search whose file says `more`."""
    cast.project()
    source = cast.LABEL_SMOOTHING.format(name="width", goal=cast.GOAL, trials=2)
    source = source.replace("sampler: halton", f"sampler: halton, pruner: {pruner}")
    experiment = cast.search(
        source=source.replace("  epochs:          {role: fixed, value: 60}\n", "") + more
    )
    cast.finish_search(experiment, 2)
    experiment.refresh_from_db()
    trial = experiment.best_trial
    assert trial is not None and trial.configuration is not None
    Trial.objects.filter(pk=trial.pk).update(**changed)
    trial.refresh_from_db()
    return experiment, trial


def _options(experiment: Experiment, trial: Trial) -> dict[str, str]:
    words = shlex.split(line_of(experiment, trial).partition("workers.reproduce ")[2])
    return dict(word.removeprefix("--").split("=", 1) for word in words)


def test_a_trial_over_folds_is_run_over_folds_each_ended_by_the_same_rule() -> None:
    rule = "early_stopping: {patience: 3, min_delta: 0.01, rule: cumulative}\n"
    experiment, trial = _trial(f"folds: 4\n{rule}", stopped_early=True, latest_step=4)
    found = _options(experiment, trial)
    assert found["folds"] == "4" and "last-step" not in found
    assert json.loads(found["early-stopping"]) == {
        "metric": "validation_accuracy",
        "maximize": True,
        "patience": 3,
        "min_delta": 0.01,
        "rule": "cumulative",
    }


def test_a_run_that_ended_early_is_ended_at_the_same_step() -> None:
    experiment, trial = _trial(
        "early_stopping: {patience: 3}\n", stopped_early=True, latest_step=9
    )
    found = _options(experiment, trial)
    assert found["last-step"] == "9" and "early-stopping" not in found and "folds" not in found


def test_a_complete_trial_is_run_on_the_whole_budget() -> None:
    experiment, trial = _trial("fidelity: {name: epochs, min: 4, max: 60}\n")
    assert _options(experiment, trial)["budget"] == "60"


def test_a_trial_given_up_on_a_smaller_budget_is_run_on_that_one() -> None:
    pruned = {"state": TrialState.PRUNED, "reports": encode_reports([(1, 0.4), (4, 0.5)])}
    more = "fidelity: {name: data_fraction, min: 0.01, max: 1.0}\n"
    experiment, trial = _trial(more, pruner="successive_halving", **pruned)
    found = _options(experiment, trial)
    # 1/64, 1/16, 1/4, 1: the second was the last that was reported.
    assert found["budget"] == "0.0625" and "last-step" not in found
    assert json.loads(found["params"])["data_fraction"] == 0.0625
