from __future__ import annotations

import numpy as np
import pytest

from experiments.analysis.curves.learning_curve import Curve
from experiments.analysis.diagnosis import Severity, Status
from experiments.analysis.space.steps import (
    best_steps,
    compute_bound,
    initial_steps,
    perfect_fit_step,
    two_round_plan,
)


def test_best_trials_that_still_improve_are_compute_bound() -> None:
    found = compute_bound([True, True, True, False, None, True], [False] * 6)
    assert found.fired
    assert found.evidence["judged"] == 5


def test_best_trials_that_settled_are_not() -> None:
    found = compute_bound([False] * 5, [True] * 4 + [False])
    assert found.status is Status.PASSED
    assert "before half" in found.title


def test_five_judged_trials_are_needed() -> None:
    assert compute_bound([True] * 4 + [None] * 9, []).status is Status.NOT_CHECKABLE


def test_best_steps_in_the_first_tenth_mean_far_too_many_steps() -> None:
    found = best_steps(np.r_[np.full(8, 0.05), 0.5, 0.6])
    assert found.fired
    assert found.severity is Severity.WARNING
    assert found.action == "run_shorter"


def test_best_steps_in_the_last_quarter_are_ordinary_unless_still_improving() -> None:
    shares = np.full(10, 0.95)
    assert best_steps(shares).status is Status.PASSED
    found = best_steps(shares, still_improving=True)
    assert found.severity is Severity.NOTICE
    assert found.action == "run_longer"


def test_shares_that_are_not_known_do_not_count() -> None:
    assert best_steps(np.array([0.05, 0.05, np.nan, np.nan, np.nan])).status is (
        Status.NOT_CHECKABLE
    )


def test_a_plan_has_many_short_runs_and_very_few_long_ones() -> None:
    short, long = two_round_plan(10_000, 90_000)
    assert (short.steps, short.trials) == (1_000, 60)
    assert (long.steps, long.trials) == (10_000, 3)


def test_a_plan_never_exceeds_its_budget() -> None:
    for budget in range(100, 1000, 37):
        rounds = two_round_plan(100, budget)
        assert sum(planned.steps * planned.trials for planned in rounds) <= budget
        assert rounds[1].trials >= 1
    with pytest.raises(ValueError, match="one full run"):
        two_round_plan(100, 99)


def test_a_perfect_fit_is_no_error_or_a_thousandth_of_the_first_loss() -> None:
    assert perfect_fit_step(Curve.of([0.5, 0.1, 0.0, 0.1]), is_error=True) == 2
    loss = Curve.of(np.r_[np.geomspace(1, 1e-4, 41), np.full(9, 1e-4)])
    assert perfect_fit_step(loss) == pytest.approx(30, abs=2)
    assert perfect_fit_step(Curve.of([1.0, 0.5, 0.4])) is None
    assert perfect_fit_step(Curve.of([])) is None


def test_the_first_length_is_that_of_the_fastest_perfect_fit() -> None:
    assert initial_steps([None, 900.0, 400.5]) == 401
    assert initial_steps([None]) is None
