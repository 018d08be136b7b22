from __future__ import annotations

import math

import optuna
import pytest
from optuna.trial import Trial

from workers.search.extrapolation import ExtrapolationPruner

STEPS = 30


def _error(x: float, step: int) -> float:
    return x + 0.5 * math.exp(-step / 5)


def _run(study: optuna.Study, x: float) -> int | None:
    """Run a trial that ends at `x`; the step at which it was pruned."""
    trial = study.ask()
    return _report(trial, study, [(step, _error(x, step)) for step in range(1, STEPS + 1)])


def _report(trial: Trial, study: optuna.Study, values: list[tuple[int, float]]) -> int | None:
    maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
    for step, value in values:
        trial.report(-value if maximize else value, step)
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return step
    last = values[-1][1]
    study.tell(trial, -last if maximize else last)
    return None


def _study(direction: str = "minimize", **options: object) -> optuna.Study:
    pruner = ExtrapolationPruner(**{"n_startup_trials": 6, **options})  # type: ignore[arg-type]
    study = optuna.create_study(direction=direction, pruner=pruner)
    for index in range(6):
        _run(study, 0.2 + 0.01 * index)
    return study


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_run_that_is_not_heading_for_a_new_best_is_given_up_early(direction: str) -> None:
    study = _study(direction)
    step = _run(study, 0.6)
    assert step is not None and step < STEPS / 2


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_run_that_becomes_the_best_is_not_given_up(direction: str) -> None:
    assert _run(_study(direction), 0.19) is None


def test_nothing_is_pruned_before_enough_runs_are_complete() -> None:
    assert _run(_study(n_startup_trials=7), 0.9) is None


def test_nothing_is_pruned_during_warmup() -> None:
    step = _run(_study(n_warmup_steps=25), 0.9)
    assert step is not None and step >= 25


def test_it_looks_once_in_each_part_of_a_run_however_often_it_reports() -> None:
    pruner = ExtrapolationPruner(max_resource=1000)
    study = optuna.create_study(pruner=pruner)
    trial = study.ask()
    looks = 0
    for step in range(1, 1001):
        trial.report(0.5, step)
        frozen = study.trials[0]
        looks += pruner._is_a_look(frozen, step, 1000)
    assert looks == 20


def test_runs_that_reported_nothing_or_nothing_finite_do_not_disturb_it() -> None:
    study = _study()
    study.add_trial(optuna.create_trial(value=0.5))
    _report(study.ask(), study, [(step, 0.4 if step == 30 else math.nan) for step in range(1, 31)])
    assert _run(study, 0.9) is not None
    assert (
        _report(study.ask(), study, [(step, math.nan) for step in range(1, 30)] + [(30, 1.0)])
        is None
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"probability": 0.0},
        {"n_startup_trials": 0},
        {"n_warmup_steps": -1},
        {"max_resource": "all"},
        {"max_resource": 0},
    ],
)
def test_an_impossible_option_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ExtrapolationPruner(**wrong)  # type: ignore[arg-type]
