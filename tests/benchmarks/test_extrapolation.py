from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.pruners import MedianPruner, NopPruner, ThresholdPruner

from benchmarks import extrapolation
from benchmarks.extrapolation import Saved
from benchmarks.findings_algoperf import Run
from experiments.analysis.curves.learning_curve import Curve, Direction, MetricKind

STEPS = np.arange(1.0, 21.0) * 100


def _run(end: float, direction: Direction = Direction.MINIMIZE) -> Run:
    errors = end + np.exp(-STEPS / 400)
    values = errors if direction is Direction.MINIMIZE else -errors
    curve = Curve(STEPS, values)
    return Run("r", "w", MetricKind.METRIC, direction, 0.0, curve, curve, curve, curve)


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def test_without_a_pruner_nothing_is_saved_and_nothing_is_killed() -> None:
    found = extrapolation.replay([_run(end) for end in np.linspace(0, 1, 10)], NopPruner())
    assert found == Saved(20_000, 20_000, 1, 0, 0, 10)
    assert (found.saved, found.killed) == (0.0, 0.0)


@pytest.mark.parametrize("direction", list(Direction))
def test_what_a_pruner_saves_and_kills_is_counted(direction: Direction) -> None:
    runs = [_run(end, direction) for end in (0.3, 0.4, 0.5, 0.9, 0.1)]
    found = extrapolation.replay(runs, MedianPruner(n_startup_trials=3))
    # Only the fourth is worse than the median, from its first evaluation on.
    assert found == Saved(10_000, 8_000 + 100, 1, 0, 1, 5)


def test_a_pruner_that_ends_every_run_kills_the_best() -> None:
    found = extrapolation.replay([_run(0.1), _run(0.5)], ThresholdPruner(upper=0.0))
    assert (found.killed, found.pruned, found.steps_run) == (1.0, 2, 200)


def test_more_than_two_hundredths_of_good_runs_given_up_is_short() -> None:
    poor = Saved(100, 50, 100, 3, 10, 1000)
    good = Saved(100, 50, 100, 2, 10, 1000)
    for ours, met in ((poor, False), (good, True)):
        table = extrapolation.rows(
            {"extrapolation": ours, "median": Saved(100, 50, 100, 9, 10, 1000)}, 40
        )
        assert [one.met for one in table if one.goal != "printed"] == [met]
